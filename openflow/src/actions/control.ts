/** Going on elsewhere: resubmit, clone, conjunction; and small actions with a few numbers. */
import type { Action, Clone, Conjunction, DecTtl, FinTimeout, Note, Resubmit, WriteMetadataAction } from '../action.ts';
import { type ActionSpec, erase, versions } from '../action-spec.ts';
import { needArgument, readArguments, unknownArgument, valueOf } from '../arguments.ts';
import { OpenFlowError } from '../error.ts';
import { formatBytes, hex, parseBytes, parseNumber } from '../number-text.ts';
import { formatPort, fromPort16, PORTS, parsePort, toPort16 } from '../port.ts';
import { NX, OF10 } from '../version.ts';

/** A resubmit to the flow's own table. */
const SAME_TABLE = 255;

const RESUBMIT: ActionSpec<Resubmit> = {
  types: ['resubmit'],
  forms: [
    {
      vendor: NX,
      code: 1,
      ...versions(),
      // Only what was read as one: ovs-ofctl writes the table always.
      suits: ({ table, ct }) => table === undefined && ct !== true,
      read: (r) => ({ type: 'resubmit', port: fromPort16(r.u16()) }),
      write: (w, { port }) => w.u16(toPort16(port ?? PORTS.IN_PORT)),
    },
    {
      vendor: NX,
      code: 14,
      ...versions(),
      suits: ({ ct }) => ct !== true,
      read: (r) => ({ type: 'resubmit', port: fromPort16(r.u16()), table: r.u8() }),
      write: (w, { port, table }) => {
        w.u16(toPort16(port ?? PORTS.IN_PORT));
        w.u8(table ?? SAME_TABLE);
      },
    },
    {
      vendor: NX,
      code: 44,
      ...versions(),
      read: (r) => ({ type: 'resubmit', port: fromPort16(r.u16()), table: r.u8(), ct: true }),
      write: (w, { port, table }) => {
        w.u16(toPort16(port ?? PORTS.IN_PORT));
        w.u8(table ?? SAME_TABLE);
      },
    },
  ],
  words: ['resubmit'],
  format: ({ port, table, ct }) => {
    const from = port ?? PORTS.IN_PORT;
    const to = table ?? SAME_TABLE;
    const name = from === PORTS.IN_PORT ? '' : formatPort(from);
    if (to === SAME_TABLE && ct !== true && name !== '') return `resubmit:${name}`;
    return `resubmit(${name},${to === SAME_TABLE ? '' : to}${ct === true ? ',ct' : ''})`;
  },
  parse: (word, args) => {
    const text = needArgument(word, args);
    if (!text.includes(',')) return { type: 'resubmit', port: parsePort(text), table: SAME_TABLE };
    const [port = '', table = '', ct, ...more] = text.split(',').map((part) => part.trim());
    if (more.length > 0 || (ct !== undefined && ct !== 'ct')) {
      throw new OpenFlowError('syntax', `resubmit(${text}): write resubmit([port],[table][,ct])`);
    }
    if (port === '' && table === '' && ct === undefined) {
      throw new OpenFlowError('syntax', 'resubmit(,) needs a port or a table');
    }
    return {
      type: 'resubmit',
      port: port === '' ? PORTS.IN_PORT : parsePort(port),
      table: table === '' ? SAME_TABLE : parseNumber(table, 255, 'a table'),
      ...(ct === undefined ? {} : { ct: true }),
    };
  },
};

const CLONE: ActionSpec<Clone> = {
  types: ['clone'],
  forms: [
    {
      vendor: NX,
      code: 42,
      ...versions(),
      read: (r, c) => {
        r.skip(6);
        return { type: 'clone', actions: c.readActions(r, c.depth + 1) };
      },
      write: (w, { actions }, c) => {
        w.zeros(6);
        c.writeActions(w, actions);
      },
    },
  ],
  words: ['clone'],
  format: ({ actions }, c) => `clone(${c.format(actions)})`,
  parse: (_word, args, c) => ({ type: 'clone', actions: c.parse(args ?? '') }),
};

const CONJUNCTION: ActionSpec<Conjunction> = {
  types: ['conjunction'],
  forms: [
    {
      vendor: NX,
      code: 34,
      ...versions(),
      read: (r) => {
        const clause = r.u8() + 1;
        const clauses = r.u8();
        if (clauses < 2 || clauses > 64 || clause > clauses) throw r.malformed(`conjunction ${clause}/${clauses}`);
        return { type: 'conjunction', id: r.u32(), clause, clauses };
      },
      write: (w, { id, clause, clauses }) => {
        if (clauses < 2 || clauses > 64 || clause < 1 || clause > clauses) {
          throw new OpenFlowError('invalid_value', `conjunction ${clause}/${clauses}: 2 to 64 clauses, counted from 1`);
        }
        w.u8(clause - 1);
        w.u8(clauses);
        w.u32(id);
      },
    },
  ],
  words: ['conjunction'],
  format: ({ id, clause, clauses }) => `conjunction(${id},${clause}/${clauses})`,
  parse: (_word, args) => {
    const parts = /^\s*(\w+)\s*,\s*(\d+)\s*\/\s*(\d+)\s*$/.exec(args ?? '');
    if (parts === null) throw new OpenFlowError('syntax', `conjunction(${args}): write conjunction(id,k/n)`);
    const clauses = parseNumber(parts[3] ?? '', 64, 'clauses');
    return {
      type: 'conjunction',
      id: parseNumber(parts[1] ?? '', 0xffff_ffff, 'a conjunction id'),
      clause: parseNumber(parts[2] ?? '', clauses, 'a clause'),
      clauses,
    };
  },
};

const NOTE: ActionSpec<Note> = {
  types: ['note'],
  forms: [
    {
      vendor: NX,
      code: 8,
      ...versions(),
      read: (r) => ({ type: 'note', data: r.rest() }),
      write: (w, { data }) => w.bytes(data),
    },
  ],
  words: ['note'],
  format: ({ data }) => `note:${formatBytes(data)}`,
  parse: (_word, args) => {
    const data = parseBytes(args ?? '');
    // The wire holds 6 bytes and then multiples of 8.
    const padded = new Uint8Array(data.length <= 6 ? 6 : Math.ceil((data.length - 6) / 8) * 8 + 6);
    padded.set(data);
    return { type: 'note', data: padded };
  },
};

const FIN_TIMEOUT: ActionSpec<FinTimeout> = {
  types: ['fin_timeout'],
  forms: [
    {
      vendor: NX,
      code: 19,
      ...versions(),
      read: (r) => ({ type: 'fin_timeout', idleTimeout: r.u16(), hardTimeout: r.u16() }),
      write: (w, { idleTimeout, hardTimeout }) => {
        w.u16(idleTimeout);
        w.u16(hardTimeout);
      },
    },
  ],
  words: ['fin_timeout'],
  format: ({ idleTimeout, hardTimeout }) => {
    const parts: string[] = [];
    if (idleTimeout !== 0) parts.push(`idle_timeout=${idleTimeout}`);
    if (hardTimeout !== 0) parts.push(`hard_timeout=${hardTimeout}`);
    return `fin_timeout(${parts.join(',')})`;
  },
  parse: (_word, args) => {
    let idleTimeout = 0;
    let hardTimeout = 0;
    for (const argument of readArguments(args)) {
      const seconds = parseNumber(valueOf(argument, 'fin_timeout'), 0xffff, argument.word);
      if (argument.word === 'idle_timeout') idleTimeout = seconds;
      else if (argument.word === 'hard_timeout') hardTimeout = seconds;
      else throw unknownArgument(argument, 'fin_timeout');
    }
    return { type: 'fin_timeout', idleTimeout, hardTimeout };
  },
};

const DEC_TTL: ActionSpec<DecTtl> = {
  types: ['dec_ttl'],
  forms: [
    {
      vendor: 0,
      code: 24,
      ...versions(),
      suits: ({ controllerIds }) => controllerIds === undefined,
      read: () => ({ type: 'dec_ttl' }),
      write: (w) => w.zeros(4),
    },
    {
      vendor: NX,
      code: 21,
      ...versions(),
      read: (r) => {
        const count = r.u16();
        r.skip(4);
        if (count * 2 > r.left) throw r.malformed(`${count} controller ids in ${r.left} bytes`);
        return { type: 'dec_ttl', controllerIds: Array.from({ length: count }, () => r.u16()) };
      },
      write: (w, { controllerIds = [] }) => {
        w.u16(controllerIds.length);
        w.zeros(4);
        for (const id of controllerIds) w.u16(id);
      },
    },
  ],
  words: ['dec_ttl'],
  format: ({ controllerIds }) => (controllerIds === undefined ? 'dec_ttl' : `dec_ttl(${controllerIds.join(',')})`),
  parse: (word, args) => {
    if (args === undefined) return { type: 'dec_ttl' };
    // A list without entries prints so; it is another action on the wire than the plain one.
    if (args === '') return { type: 'dec_ttl', controllerIds: [] };
    return { type: 'dec_ttl', controllerIds: args.split(',').map((id) => parseNumber(id, 0xffff, word)) };
  },
};

const ALL_BITS = 0xffff_ffff_ffff_ffffn;

const WRITE_METADATA: ActionSpec<WriteMetadataAction> = {
  types: ['nx_write_metadata'],
  forms: [
    {
      vendor: NX,
      code: 22,
      ...versions({ from: OF10 }),
      read: (r) => {
        r.skip(6);
        const value = r.u64();
        const mask = r.u64();
        return { type: 'nx_write_metadata', value, mask: mask === ALL_BITS ? undefined : mask };
      },
      write: (w, { value, mask }) => {
        w.zeros(6);
        w.u64(value);
        w.u64(mask ?? ALL_BITS);
      },
    },
  ],
  // The word is the instruction's.
  words: [],
  format: ({ value, mask }) => `write_metadata:${hex(value)}${mask === undefined ? '' : `/${hex(mask)}`}`,
  parse: () => {
    throw new OpenFlowError('syntax', 'write_metadata is an instruction');
  },
};

export const CONTROL_ACTIONS: readonly ActionSpec<Action>[] = [
  erase(RESUBMIT),
  erase(CLONE),
  erase(CONJUNCTION),
  erase(NOTE),
  erase(FIN_TIMEOUT),
  erase(DEC_TTL),
  erase(WRITE_METADATA),
];
