/** Sampling packets (ovs-actions(7), "The sample action"). */
import type { Action, Sample } from '../action.ts';
import { type ActionForm, type ActionSpec, erase, versions } from '../action-spec.ts';
import { readArguments, unknownArgument, valueOf } from '../arguments.ts';
import { OpenFlowError } from '../error.ts';
import { parseNumber } from '../number-text.ts';
import { formatPort, fromPort16, parsePort, toPort16 } from '../port.ts';
import type { Reader } from '../reader.ts';
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
import type { Writer } from '../writer.ts';

const NO_PORT = 0xffff;
const DIRECTIONS = ['ingress', 'egress'] as const;

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

function setPort(sample: Mutable<Sample>, port: number): void {
  if (port !== NO_PORT) sample.samplingPort = fromPort16(port);
}

function setDirection(sample: Mutable<Sample>, direction: number): void {
  if (direction === 1 || direction === 2) sample.direction = DIRECTIONS[direction - 1];
}

const directionOf = ({ direction }: Sample): number =>
  direction === undefined ? 0 : DIRECTIONS.indexOf(direction) + 1;
const portOf = ({ samplingPort }: Sample): number => (samplingPort === undefined ? NO_PORT : toPort16(samplingPort));

const isNumber = (id: number | Subfield | undefined): id is number | undefined => typeof id !== 'object';

/** The forms with numbers: 29 has no port, 38 no direction. */
function form(code: 29 | 38 | 41): ActionForm<Sample> {
  return {
    vendor: NX,
    code,
    ...versions(),
    suits: ({ samplingPort, direction, obsDomainId, obsPointId }) =>
      isNumber(obsDomainId) &&
      isNumber(obsPointId) &&
      (code === 41 || (direction === undefined && (code === 38 || samplingPort === undefined))),
    read: (r) => {
      const sample: Mutable<Sample> = { type: 'sample', probability: r.u16() };
      sample.collectorSetId = r.u32();
      sample.obsDomainId = r.u32();
      sample.obsPointId = r.u32();
      if (code !== 29) setPort(sample, r.u16());
      if (code === 41) setDirection(sample, r.u8());
      return sample;
    },
    write: (w, sample) => {
      const { probability, collectorSetId, obsDomainId, obsPointId } = sample;
      w.u16(probability);
      w.u32(collectorSetId ?? 0);
      w.u32(isNumber(obsDomainId) ? (obsDomainId ?? 0) : 0);
      w.u32(isNumber(obsPointId) ? (obsPointId ?? 0) : 0);
      if (code !== 29) w.u16(portOf(sample));
      if (code === 41) w.u8(directionOf(sample));
    },
  };
}

/** The header of a field and its bits, or zero and a number. */
function readId(r: Reader): number | Subfield {
  const start = r.pos;
  if (r.u32() === 0) return r.u32();
  r.pos = start;
  const field = readFieldName(r);
  const id = unpackRange(r, field, r.u16());
  r.skip(2);
  return id;
}

function writeId(w: Writer, id: number | Subfield | undefined): void {
  if (isNumber(id)) {
    w.u32(0);
    w.u32(id ?? 0);
    return;
  }
  if (id.field.wire[OF10].experimenter !== undefined) {
    throw new OpenFlowError('unencodable', `sample has no room for the header of ${id.field.name}`);
  }
  writeFieldName(w, id.field, OF10);
  w.u16(packRange(id));
  w.zeros(2);
}

/** Open vSwitch 3.4's: the ids may come from fields. */
const FROM_FIELDS: ActionForm<Sample> = {
  vendor: NX,
  code: 51,
  ...versions(),
  suits: ({ obsDomainId, obsPointId }) => !isNumber(obsDomainId) || !isNumber(obsPointId),
  read: (r) => {
    const sample: Mutable<Sample> = { type: 'sample', probability: r.u16() };
    sample.collectorSetId = r.u32();
    sample.obsDomainId = readId(r);
    sample.obsPointId = readId(r);
    setPort(sample, r.u16());
    setDirection(sample, r.u8());
    // With numbers alone it would be written in an older form: it stays as it came.
    return isNumber(sample.obsDomainId) && isNumber(sample.obsPointId) ? undefined : sample;
  },
  write: (w, sample) => {
    w.u16(sample.probability);
    w.u32(sample.collectorSetId ?? 0);
    writeId(w, sample.obsDomainId);
    writeId(w, sample.obsPointId);
    w.u16(portOf(sample));
    w.u8(directionOf(sample));
  },
};

const formatId = (id: number | Subfield | undefined): string => (isNumber(id) ? String(id ?? 0) : formatSubfield(id));
const parseId = (text: string, word: string): number | Subfield =>
  /^\d/.test(text) ? parseNumber(text, 0xffff_ffff, word) : parseSubfield(text);

const SAMPLE: ActionSpec<Sample> = {
  types: ['sample'],
  forms: [form(29), form(38), form(41), FROM_FIELDS],
  words: ['sample'],
  format: ({ probability, collectorSetId, obsDomainId, obsPointId, samplingPort, direction }) => {
    const port = samplingPort === undefined ? '' : `,sampling_port=${formatPort(samplingPort)}`;
    return `sample(probability=${probability},collector_set_id=${collectorSetId ?? 0},obs_domain_id=${formatId(obsDomainId)},obs_point_id=${formatId(obsPointId)}${port}${direction === undefined ? '' : `,${direction}`})`;
  },
  parse: (_word, args) => {
    const sample: Mutable<Sample> = { type: 'sample', probability: 0 };
    for (const argument of readArguments(args)) {
      const value = (): string => valueOf(argument, 'sample');
      const number = (): number => parseNumber(value(), 0xffff_ffff, argument.word);
      if (argument.word === 'probability') sample.probability = number();
      else if (argument.word === 'collector_set_id') sample.collectorSetId = number();
      else if (argument.word === 'obs_domain_id') sample.obsDomainId = parseId(value(), argument.word);
      else if (argument.word === 'obs_point_id') sample.obsPointId = parseId(value(), argument.word);
      else if (argument.word === 'sampling_port') sample.samplingPort = parsePort(value());
      else if (argument.word === 'ingress' || argument.word === 'egress') sample.direction = argument.word;
      else throw unknownArgument(argument, 'sample');
    }
    if (sample.probability < 1 || sample.probability > 0xffff) {
      throw new OpenFlowError('syntax', 'sample needs probability= from 1 to 65535');
    }
    return sample;
  },
};

export const SAMPLE_ACTIONS: readonly ActionSpec<Action>[] = [erase(SAMPLE)];
