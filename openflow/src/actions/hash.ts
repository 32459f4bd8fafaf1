/** Choosing by a hash, and adding headers. */
import type { Action, Bundle, Decap, Encap, EncapProperty, HashFields, Multipath } from '../action.ts';
import { type ActionForm, type ActionSpec, erase, versions } from '../action-spec.ts';
import { readArguments } from '../arguments.ts';
import { OpenFlowError } from '../error.ts';
import { numberFor, type Words, wordFor } from '../layout.ts';
import { hex, parseNumber } from '../number-text.ts';
import { formatPort, fromPort16, parsePort, toPort16 } from '../port.ts';
import {
  formatSubfield,
  packRange,
  parseSubfield,
  readFieldName,
  type Subfield,
  unpackRange,
  writeFieldName,
} from '../subfield.ts';
import { NX, OF10 } from '../version.ts';
import { parseProperties, printProperties } from './encap-text.ts';

/** What is hashed (NX_HASH_FIELDS_*). */
const HASH_FIELDS: Words = {
  eth_src: 0,
  symmetric_l4: 1,
  symmetric_l3l4: 2,
  'symmetric_l3l4+udp': 3,
  nw_src: 4,
  nw_dst: 5,
  symmetric_l3: 6,
};
const MULTIPATH_ALGORITHMS: Words = { modulo_n: 0, hash_threshold: 1, hrw: 2, iter_hash: 3 };
const BUNDLE_ALGORITHMS: Words = { active_backup: 0, hrw: 1 };

const MULTIPATH: ActionSpec<Multipath> = {
  types: ['multipath'],
  forms: [
    {
      vendor: NX,
      code: 10,
      ...versions(),
      read: (r) => {
        const fields = wordFor(HASH_FIELDS, r.u16()) as HashFields;
        const basis = r.u16();
        r.skip(2);
        const algorithm = wordFor(MULTIPATH_ALGORITHMS, r.u16()) as Multipath['algorithm'];
        const links = r.u16() + 1;
        const arg = r.u32();
        r.skip(2);
        const range = r.u16();
        return {
          type: 'multipath',
          fields,
          basis,
          algorithm,
          links,
          arg,
          dst: unpackRange(r, readFieldName(r), range),
        };
      },
      write: (w, { fields, basis, algorithm, links, arg, dst }) => {
        w.u16(numberFor(HASH_FIELDS, fields, 'fields'));
        w.u16(basis);
        w.zeros(2);
        w.u16(numberFor(MULTIPATH_ALGORITHMS, algorithm, 'algorithm'));
        w.u16(links - 1);
        w.u32(arg);
        w.zeros(2);
        w.u16(packRange(dst));
        writeFieldName(w, dst.field, OF10);
      },
    },
  ],
  words: ['multipath'],
  format: ({ fields, basis, algorithm, links, arg, dst }) =>
    `multipath(${fields},${basis},${algorithm},${links},${arg},${formatSubfield(dst)})`,
  parse: (word, args) => {
    const [fields = '', basis = '', algorithm = '', links = '', arg = '', dst = ''] = list(args, 6, word);
    return {
      type: 'multipath',
      fields: wordFor(HASH_FIELDS, numberFor(HASH_FIELDS, fields, 'fields')) as HashFields,
      basis: parseNumber(basis, 0xffff, word),
      algorithm: wordFor(
        MULTIPATH_ALGORITHMS,
        numberFor(MULTIPATH_ALGORITHMS, algorithm, word),
      ) as Multipath['algorithm'],
      links: parseNumber(links, 0x1_0000, word),
      arg: parseNumber(arg, 0xffff_ffff, word),
      dst: parseSubfield(dst),
    };
  },
};

/** So many arguments, separated by commas. */
function list(args: string | undefined, count: number, word: string): readonly string[] {
  const parts = (args ?? '').split(',').map((part) => part.trim());
  if (parts.length < count)
    throw new OpenFlowError('syntax', `${word}(${args}) needs ${count} arguments (ovs-actions(7))`);
  return parts;
}

function bundleForm(code: number, loads: boolean): ActionForm<Bundle> {
  return {
    vendor: NX,
    code,
    ...versions(),
    suits: ({ dst }) => (dst !== undefined) === loads,
    read: (r) => {
      const algorithm = wordFor(BUNDLE_ALGORITHMS, r.u16()) as Bundle['algorithm'];
      const fields = wordFor(HASH_FIELDS, r.u16()) as HashFields;
      const basis = r.u16();
      r.skip(4);
      const count = r.u16();
      const range = r.u16();
      let dst: Subfield | undefined;
      if (loads) dst = unpackRange(r, readFieldName(r), range);
      else r.skip(4);
      r.skip(4);
      if (count * 2 > r.left) throw r.malformed(`${count} members in ${r.left} bytes`);
      const members = Array.from({ length: count }, () => fromPort16(r.u16()));
      return { type: 'bundle', fields, basis, algorithm, members, ...(dst === undefined ? {} : { dst }) };
    },
    write: (w, { algorithm, fields, basis, members, dst }) => {
      w.u16(numberFor(BUNDLE_ALGORITHMS, algorithm, 'algorithm'));
      w.u16(numberFor(HASH_FIELDS, fields, 'fields'));
      w.u16(basis);
      // The members are ports: NXM_OF_IN_PORT says so.
      w.u16(0x0000);
      w.u16(0x0002);
      w.u16(members.length);
      w.u16(dst === undefined ? 0 : packRange(dst));
      if (dst === undefined) w.zeros(4);
      else writeFieldName(w, dst.field, OF10);
      w.zeros(4);
      for (const member of members) w.u16(toPort16(member));
    },
  };
}

const BUNDLE: ActionSpec<Bundle> = {
  types: ['bundle'],
  forms: [bundleForm(12, false), bundleForm(13, true)],
  words: ['bundle', 'bundle_load'],
  format: ({ fields, basis, algorithm, members, dst }) => {
    const to = dst === undefined ? '' : `,${formatSubfield(dst)}`;
    const name = dst === undefined ? 'bundle' : 'bundle_load';
    return `${name}(${fields},${basis},${algorithm},ofport${to},members:${members.map(formatPort).join(',')})`;
  },
  parse: (word, args) => {
    const [head = '', tail = ''] = (args ?? '').split(/,\s*(?:members|slaves):/);
    const loads = word === 'bundle_load';
    const [fields = '', basis = '', algorithm = '', kind, dst = ''] = list(head, loads ? 5 : 4, word);
    if (kind !== 'ofport')
      throw new OpenFlowError('syntax', `${word}: the kind of members must be ofport, not "${kind}"`);
    return {
      type: 'bundle',
      fields: wordFor(HASH_FIELDS, numberFor(HASH_FIELDS, fields, 'fields')) as HashFields,
      basis: parseNumber(basis, 0xffff, word),
      algorithm: wordFor(BUNDLE_ALGORITHMS, numberFor(BUNDLE_ALGORITHMS, algorithm, word)) as Bundle['algorithm'],
      members: tail
        .split(',')
        .filter((port) => port !== '')
        .map(parsePort),
      ...(loads ? { dst: parseSubfield(dst) } : {}),
    };
  },
};

/** Packet types by the words of encap (OpenFlow 1.5.1 §7.2.3.11). */
const PACKET_TYPES: Words = { ethernet: 0, nsh: 0x1_894f, mpls: 0x1_8847, mpls_mc: 0x1_8848 };

const ENCAP: ActionSpec<Encap> = {
  types: ['encap'],
  forms: [
    {
      vendor: NX,
      code: 46,
      ...versions(),
      read: (r) => {
        const headerSize = r.u16();
        const packetType = r.u32();
        const properties: EncapProperty[] = [];
        while (r.left >= 4) {
          const start = r.pos;
          const propertyClass = r.u16();
          const propertyType = r.u8();
          const length = r.u8();
          if (length < 4) throw r.malformed(`an encap property of ${length} bytes`);
          properties.push({ propertyClass, propertyType, data: r.copy(length - 4) });
          r.skip(Math.min((8 - ((r.pos - start) % 8)) % 8, r.left));
        }
        return { type: 'encap', packetType, headerSize, properties };
      },
      write: (w, { headerSize, packetType, properties }) => {
        w.u16(headerSize ?? 0);
        w.u32(packetType);
        for (const { propertyClass, propertyType, data } of properties ?? []) {
          const start = w.length;
          w.u16(propertyClass);
          w.u8(propertyType);
          w.u8(4 + data.length);
          w.bytes(data);
          w.pad8(start);
        }
      },
    },
  ],
  words: ['encap'],
  format: ({ packetType, properties }) => {
    const word = wordFor(PACKET_TYPES, packetType);
    const name = typeof word === 'string' ? word : hex(word);
    const parts = printProperties(properties ?? []);
    return `encap(${name}${parts === '' ? '' : `(${parts})`})`;
  },
  parse: (_word, args) => {
    const [argument, ...more] = readArguments(args);
    const packetType = argument === undefined ? undefined : PACKET_TYPES[argument.word];
    if (argument === undefined || packetType === undefined || more.length > 0) {
      throw new OpenFlowError(
        'syntax',
        `encap(${args}): write encap(nsh(...)), encap(ethernet), encap(mpls) or encap(mpls_mc)`,
      );
    }
    return { type: 'encap', packetType, headerSize: 0, properties: parseProperties(argument.value) };
  },
};

/** "Use what follows": the packet type of a decap that finds out by itself. */
const FIND_OUT = 0xfffe;

const DECAP: ActionSpec<Decap> = {
  types: ['decap'],
  forms: [
    {
      vendor: NX,
      code: 47,
      ...versions(),
      read: (r) => {
        r.skip(2);
        return { type: 'decap', packetType: r.u32() };
      },
      write: (w, { packetType }) => {
        w.zeros(2);
        w.u32(packetType ?? FIND_OUT);
      },
    },
  ],
  words: ['decap'],
  format: ({ packetType }) => {
    if (packetType === undefined || packetType === FIND_OUT) return 'decap()';
    return `decap(packet_type(ns=${packetType >>> 16},type=${hex(packetType & 0xffff)}))`;
  },
  parse: (_word, args) => {
    if (args === undefined || args.trim() === '') return { type: 'decap', packetType: FIND_OUT };
    const parts = /^packet_type\(ns=(\w+),type=(\w+)\)$/.exec(args.replaceAll(/\s/g, ''));
    if (parts === null) throw new OpenFlowError('syntax', `decap(${args}): write decap(packet_type(ns=1,type=0x800))`);
    const namespace = parseNumber(parts[1] ?? '', 0xffff, 'ns');
    return { type: 'decap', packetType: namespace * 0x1_0000 + parseNumber(parts[2] ?? '', 0xffff, 'type') };
  },
};

export const HASH_ACTIONS: readonly ActionSpec<Action>[] = [
  erase(MULTIPATH),
  erase(BUNDLE),
  erase(ENCAP),
  erase(DECAP),
];
