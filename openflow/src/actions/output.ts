/** Sending packets: to ports, to controllers. */
import type { Action, Controller, Output, OutputReg, OutputTrunc } from '../action.ts';
import { type ActionSpec, erase, versions } from '../action-spec.ts';
import { needArgument, readArguments, unknownArgument, valueOf } from '../arguments.ts';
import { OpenFlowError } from '../error.ts';
import { layout, numberFor, type Words, wordFor } from '../layout.ts';
import { formatBytes, parseBytes, parseNumber } from '../number-text.ts';
import { findPort, formatPort, fromPort16, PORTS, parsePort, toPort16 } from '../port.ts';
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

/** Reasons of packet-ins (OpenFlow 1.5.1 §7.4.1). */
export const PACKET_IN_REASONS: Words = {
  no_match: 0,
  action: 1,
  invalid_ttl: 2,
  action_set: 3,
  group: 4,
  packet_out: 5,
};

const output = layout<Output>();
const outputBody = output.struct([output.u32('port'), output.u16('maxLen', 0), output.pad(6)], { type: 'output' });

/** Ports that have words of their own as actions. */
const PORT_WORDS = ['NORMAL', 'FLOOD', 'ALL', 'LOCAL', 'IN_PORT', 'TABLE', 'CONTROLLER'] as const;

function isField(text: string): boolean {
  return findPort(text) === undefined && /^[A-Za-z_]/.test(text);
}

/** `output(port=1,max_len=100)`. */
function parseTruncated(args: string): OutputTrunc {
  let port: number | undefined;
  let maxLen: number | undefined;
  for (const argument of readArguments(args)) {
    if (argument.word === 'port') port = parsePort(valueOf(argument, 'output'));
    else if (argument.word === 'max_len') maxLen = parseNumber(valueOf(argument, 'output'), 0xffff_ffff, 'max_len');
    else throw unknownArgument(argument, 'output');
  }
  if (port === undefined || maxLen === undefined) {
    throw new OpenFlowError('syntax', `output(...) needs port= and max_len=, in "output(${args})"`);
  }
  return { type: 'output_trunc', port, maxLen };
}

/** What `CONTROLLER:128` and `controller(...)` mean. */
function parseController(args: string | undefined): Action {
  if (args === undefined || args === '') return { type: 'output', port: PORTS.CONTROLLER, maxLen: 0xffff };
  if (/^\d+$/.test(args))
    return { type: 'output', port: PORTS.CONTROLLER, maxLen: parseNumber(args, 0xffff, 'max_len') };
  const into: { -readonly [K in keyof Controller]: Controller[K] } = { type: 'controller' };
  for (const argument of readArguments(args)) {
    const text = argument.value ?? '';
    if (argument.word === 'max_len') into.maxLen = parseNumber(text, 0xffff, 'max_len');
    else if (argument.word === 'id') into.controllerId = parseNumber(text, 0xffff, 'id');
    else if (argument.word === 'reason') into.reason = text as Exclude<Controller['reason'], number | undefined>;
    else if (argument.word === 'userdata') into.userdata = parseBytes(text);
    else if (argument.word === 'meter_id') into.meter = parseNumber(text, 0xffff_ffff, 'meter_id');
    else if (argument.word === 'pause') into.pause = true;
    else throw unknownArgument(argument, 'controller');
  }
  if (into.reason !== undefined) numberFor(PACKET_IN_REASONS, into.reason, 'reason');
  const simple = Object.keys(into).every((key) => key === 'type' || key === 'maxLen');
  return simple ? { type: 'output', port: PORTS.CONTROLLER, maxLen: into.maxLen ?? 0xffff } : into;
}

const OUTPUT: ActionSpec<Output> = {
  types: ['output'],
  forms: [
    {
      vendor: 0,
      code: 0,
      ...versions(),
      read: (r, c) => {
        if (c.version !== OF10) return outputBody.read(r, c.version);
        return { type: 'output', port: fromPort16(r.u16()), maxLen: r.u16() };
      },
      write: (w, action, c) => outputBody.write(w, action, c.version),
    },
    {
      vendor: 0,
      code: 0,
      from: OF10,
      to: OF10,
      read: (r) => ({ type: 'output', port: fromPort16(r.u16()), maxLen: r.u16() }),
      write: (w, action) => {
        w.u16(toPort16(action.port));
        w.u16(action.maxLen ?? 0);
      },
    },
  ],
  words: ['output', ...PORT_WORDS, ...PORT_WORDS.map((word) => word.toLowerCase())],
  format: ({ port, maxLen }) => {
    if (port === PORTS.CONTROLLER) return `CONTROLLER:${maxLen ?? 0}`;
    return port >= 0xffff_ff00 ? formatPort(port) : `output:${port}`;
  },
  parse: (word, args) => {
    if (word.toLowerCase() === 'controller') return parseController(args);
    if (word !== 'output') return { type: 'output', port: parsePort(word) };
    const text = needArgument(word, args);
    if (text.includes('=')) return parseTruncated(text);
    if (isField(text)) return { type: 'output_reg', src: parseSubfield(text), maxLen: 0xffff };
    const port = parsePort(text);
    return { type: 'output', port, ...(port === PORTS.CONTROLLER ? { maxLen: 0xffff } : {}) };
  },
};

/** A field of the class 0xffff has a longer header, which only output_reg2 has room for. */
const hasLongHeader = (src: Subfield): boolean => src.field.wire[OF10].experimenter !== undefined;

const OUTPUT_REG: ActionSpec<OutputReg> = {
  types: ['output_reg'],
  forms: [
    {
      vendor: NX,
      code: 15,
      ...versions(),
      suits: ({ src }) => !hasLongHeader(src),
      read: (r) => {
        const range = r.u16();
        const field = readFieldName(r);
        const maxLen = r.u16();
        return { type: 'output_reg', src: unpackRange(r, field, range), maxLen };
      },
      write: (w, { src, maxLen }) => {
        w.u16(packRange(src));
        writeFieldName(w, src.field, OF10);
        w.u16(maxLen ?? 0xffff);
      },
    },
    {
      vendor: NX,
      code: 32,
      ...versions(),
      read: (r) => {
        const range = r.u16();
        const maxLen = r.u16();
        const field = readFieldName(r);
        return { type: 'output_reg', src: unpackRange(r, field, range), maxLen };
      },
      write: (w, { src, maxLen }) => {
        w.u16(packRange(src));
        w.u16(maxLen ?? 0xffff);
        writeFieldName(w, src.field, OF10);
      },
    },
  ],
  words: [],
  format: ({ src }) => `output:${formatSubfield(src)}`,
  parse: (word, args) => ({ type: 'output_reg', src: parseSubfield(needArgument(word, args)), maxLen: 0xffff }),
};

const OUTPUT_TRUNC: ActionSpec<OutputTrunc> = {
  types: ['output_trunc'],
  forms: [
    {
      vendor: NX,
      code: 39,
      ...versions(),
      read: (r) => ({ type: 'output_trunc', port: fromPort16(r.u16()), maxLen: r.u32() }),
      write: (w, { port, maxLen }) => {
        w.u16(toPort16(port));
        w.u32(maxLen);
      },
    },
  ],
  words: [],
  format: ({ port, maxLen }) => `output(port=${formatPort(port)},max_len=${maxLen})`,
  parse: (word, args) => parseTruncated(needArgument(word, args)),
};

/** Properties of NXAST_CONTROLLER2. */
const PROPERTY = { maxLen: 0, controllerId: 1, reason: 2, userdata: 3, pause: 4, meter: 5 } as const;

/** NXAST_CONTROLLER has fields for these only. */
const isOldController = ({ userdata, pause, meter }: Controller): boolean =>
  (userdata === undefined || userdata.length === 0) && pause !== true && meter === undefined;

const CONTROLLER: ActionSpec<Controller> = {
  types: ['controller'],
  forms: [
    {
      vendor: NX,
      code: 20,
      ...versions(),
      suits: isOldController,
      read: (r) => {
        const maxLen = r.u16();
        const controllerId = r.u16();
        const reason = wordFor(PACKET_IN_REASONS, r.u8()) as Controller['reason'];
        r.skip(1);
        return { type: 'controller', maxLen, controllerId, reason };
      },
      write: (w, { maxLen, controllerId, reason }) => {
        w.u16(maxLen ?? 0xffff);
        w.u16(controllerId ?? 0);
        w.u8(numberFor(PACKET_IN_REASONS, reason ?? 'action', 'reason'));
        w.u8(0);
      },
    },
    {
      vendor: NX,
      code: 37,
      ...versions(),
      read: (r) => {
        r.skip(6);
        const into: { -readonly [K in keyof Controller]: Controller[K] } = { type: 'controller' };
        while (r.left >= 4) {
          const start = r.pos;
          const kind = r.u16();
          const length = r.u16();
          const end = r.narrow(length - 4);
          if (kind === PROPERTY.maxLen) into.maxLen = r.u16();
          else if (kind === PROPERTY.controllerId) into.controllerId = r.u16();
          else if (kind === PROPERTY.reason) into.reason = wordFor(PACKET_IN_REASONS, r.u8()) as Controller['reason'];
          else if (kind === PROPERTY.userdata) into.userdata = r.rest();
          else if (kind === PROPERTY.pause) into.pause = true;
          else if (kind === PROPERTY.meter) into.meter = r.u32();
          else return undefined;
          r.widen(end);
          r.skip(Math.min((8 - ((r.pos - start) % 8)) % 8, r.left));
        }
        return into;
      },
      write: (w, action) => {
        w.zeros(6);
        // The length of a short number's property counts its padding too.
        const property = (kind: number, length: number, write: () => void): void => {
          const start = w.length;
          w.u16(kind);
          w.u16(4 + length);
          write();
          w.zeros(Math.max(0, start + 4 + length - w.length));
          w.pad8(start);
        };
        const { maxLen, controllerId, reason, userdata, meter } = action;
        if (maxLen !== undefined && maxLen !== 0xffff) property(PROPERTY.maxLen, 4, () => w.u16(maxLen));
        if (controllerId !== undefined && controllerId !== 0)
          property(PROPERTY.controllerId, 4, () => w.u16(controllerId));
        if (reason !== undefined && reason !== 'action') {
          property(PROPERTY.reason, 1, () => w.u8(numberFor(PACKET_IN_REASONS, reason, 'reason')));
        }
        if (userdata !== undefined && userdata.length > 0) {
          property(PROPERTY.userdata, userdata.length, () => w.bytes(userdata));
        }
        if (action.pause === true) property(PROPERTY.pause, 0, () => undefined);
        if (meter !== undefined) property(PROPERTY.meter, 4, () => w.u32(meter));
      },
    },
  ],
  words: [],
  format: ({ maxLen, controllerId, reason, userdata, pause, meter }) => {
    if (
      isOldController({ type: 'controller', userdata, pause, meter }) &&
      (reason ?? 'action') === 'action' &&
      (controllerId ?? 0) === 0
    ) {
      return `CONTROLLER:${maxLen ?? 0xffff}`;
    }
    const parts: string[] = [];
    if (reason !== undefined && reason !== 'action') parts.push(`reason=${reason}`);
    if (maxLen !== undefined && maxLen !== 0xffff) parts.push(`max_len=${maxLen}`);
    if (controllerId !== undefined && controllerId !== 0) parts.push(`id=${controllerId}`);
    if (userdata !== undefined && userdata.length > 0) parts.push(`userdata=${formatBytes(userdata)}`);
    if (pause === true) parts.push('pause');
    if (meter !== undefined) parts.push(`meter_id=${meter}`);
    return `controller(${parts.join(',')})`;
  },
  parse: (_word, args) => parseController(args),
};

export const OUTPUT_ACTIONS: readonly ActionSpec<Action>[] = [
  erase(OUTPUT),
  erase(OUTPUT_REG),
  erase(OUTPUT_TRUNC),
  erase(CONTROLLER),
];
