import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatActions } from './action-text.ts';
import { defineBits, matchMarks } from './bit-field.ts';
import { match } from './match.ts';
import { formatMatch } from './match-format.ts';
import { decodeMessage, encodeMessage } from './message-codec.ts';
import { SEED } from './test-support.ts';
import { OF13, OF15 } from './version.ts';

const bits = defineBits({
  source: { field: 'reg0', from: 0, to: 3, values: { tunnel: 0, gateway: 1, pod: 2 } },
  found: { field: 'reg0', from: 4, to: 4 },
  port: { field: 'reg1', from: 0, to: 31 },
  label: { field: 'ct_label', from: 64, to: 95 },
});

describe('marks', () => {
  it('keep a value of zero, and join in one register', () => {
    expect(formatMatch(match(matchMarks(bits.source.is('tunnel'))))).toBe('reg0=0/0xf');
    expect(formatMatch(match(matchMarks(bits.source.is('tunnel'), bits.found.is(1))))).toBe('reg0=0x10/0x1f');
    expect(formatMatch(match(matchMarks(bits.source.is('pod'), bits.found.is(0), bits.port.is(7))))).toBe(
      'reg0=0x2/0x1f,reg1=0x7',
    );
  });

  it('are set without touching their neighbours', () => {
    expect(formatActions([bits.found.load(1), bits.label.load(5)])).toBe(
      'load:0x1->NXM_NX_REG0[4],load:0x5->NXM_NX_CT_LABEL[64..95]',
    );
  });

  it('are read from what a packet came with', () => {
    const metadata = match({ reg0: 0x12, ct_label: 5n << 64n });
    expect(bits.source.read(metadata)).toBe(2);
    expect(bits.found.read(metadata)).toBe(1);
    expect(bits.label.read(metadata)).toBe(5n);
    expect(bits.port.read(metadata)).toBeUndefined();
    expect(bits.source.read(match({ reg0: [2, 3] }))).toBeUndefined();
  });

  it('are refused when they do not fit or contradict each other', () => {
    expect(() => bits.source.is(16)).toThrow(/16 is no value of source, which has 4 bits/);
    expect(() => bits.found.is(-1)).toThrow(/no value of found/);
    expect(() => matchMarks(bits.source.is('pod'), bits.source.is('gateway'))).toThrow(/exclude each other/);
    // @ts-expect-error a name that is not declared does not compile
    expect(() => bits.source.is('elsewhere')).toThrow(/elsewhere is no value of source/);
  });
});

it('refuses ranges that overlap, also through a wider register', () => {
  const low = { field: 'reg2', from: 0, to: 15 } as const;
  expect(() => defineBits({ a: low, b: { field: 'reg2', from: 15, to: 16 } })).toThrow('b and a share bits of reg2');
  expect(() => defineBits({ a: low, b: { field: 'xxreg0', from: 32, to: 40 } })).toThrow('b and a share bits of reg2');
  expect(() => defineBits({ a: low, b: { field: 'xreg1', from: 0, to: 31 } })).not.toThrow();
  expect(() => defineBits({ a: { field: 'reg2', from: 0, to: 32 } })).toThrow(/reg2 has 32 bits/);
});

it(`values and masks of one register merge and come back through both encodings (SEED=${SEED})`, () => {
  const cut = fc.uniqueArray(fc.integer({ min: 1, max: 31 }), { minLength: 1, maxLength: 5 });
  fc.assert(
    fc.property(
      cut,
      fc.array(fc.nat(0xffff_ffff), { minLength: 6, maxLength: 6 }),
      fc.nat(15),
      (cuts, values, number) => {
        const edges = [0, ...cuts.toSorted((a, b) => a - b), 32];
        const field = `reg${number}` as 'reg0';
        const declared = defineBits(
          Object.fromEntries(
            edges.slice(1).map((end, place) => [`f${place}`, { field, from: edges[place] ?? 0, to: end - 1 }]),
          ),
        );
        // Every second range, so that there are gaps.
        const marks = Object.values(declared).flatMap((range, place) =>
          place % 2 === 0 ? [range.is((values[place] ?? 0) % 2 ** range.subfield.bits)] : [],
        );
        const wanted = match(matchMarks(...marks));
        for (const version of [OF13, OF15] as const) {
          const sent = encodeMessage(version, { type: 'flow_mod', xid: 1, match: wanted, actions: [] });
          const { message } = decodeMessage(sent);
          expect(message.type === 'flow_mod' && message.match).toEqual(wanted);
        }
        for (const mark of marks) {
          const range = Object.values(declared).find(({ subfield }) => subfield === mark.bits);
          expect(range?.read(wanted)).toBe(mark.value);
        }
      },
    ),
    { seed: SEED, numRuns: 300 },
  );
});
