import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Message } from './message.ts';
import { decodeMessage, encodeMessage } from './message-codec.ts';
import { formatMessage, parseMessage } from './message-text.ts';
import type { Version } from './version.ts';

const testdata = join(import.meta.dirname, '..', 'testdata');

/** The lines of a file of tab-separated columns, without comments. */
function rows(name: string): readonly (readonly string[])[] {
  return readFileSync(join(testdata, name), 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => line.split('\t'));
}

/** Frames recorded from ovs-ofctl and ovs-vswitchd, and what `ovs-ofctl ofp-print` prints for them. */
const FRAMES: readonly { readonly hex: string; readonly printed: string }[] = rows('printed.tsv').map(
  ([hex = '', printed = '""']) => ({ hex, printed: JSON.parse(printed) as string }),
);

const toHex = (version: Version, message: Message): string =>
  Buffer.from(encodeMessage(version, message)).toString('hex');

describe('every recorded frame', () => {
  it('is there', () => {
    const recorded = new Set(rows('frames.tsv').flatMap((columns) => columns[2]?.split(' ') ?? []));
    expect(recorded.size).toBeGreaterThan(400);
    const printed = new Set(FRAMES.map(({ hex }) => hex));
    expect([...recorded].filter((hex) => hex !== '' && !printed.has(hex))).toEqual([]);
  });

  it.each(FRAMES)('$hex', ({ hex, printed }) => {
    const { version, message } = decodeMessage(Buffer.from(hex, 'hex'));
    expect(toHex(version, message)).toBe(hex);
    expect(message.type).not.toMatch(/^unknown/);
    // ovs-ofctl leaves spaces and line breaks at the end as they come.
    expect(formatMessage(version, message).trimEnd()).toBe(printed.trimEnd());
  });
});

/** What the text of some frames leaves out. */
interface LeftOut {
  readonly what: string;
  /** The beginnings of these texts. */
  readonly printed: readonly string[];
  /** The message with only that put back which the text does not say. */
  readonly restore: (parsed: Message, original: Message) => Message;
}

const PORTS = [2, 3].flatMap((xid) => ['1.3', '1.5'].map((v) => `OFPST_PORT_DESC reply (OF${v}) (xid=0x${xid}):`));

const LEFT_OUT: readonly LeftOut[] = [
  {
    what: 'how much of a packet an output to a port may send to the controller, which "enqueue" sets',
    printed: ['1.3', '1.5'].map((v) => `OFPT_FLOW_MOD (OF${v}) (xid=0x2): ADD table:1 actions=set_queue:2,output:1,`),
    restore: (parsed) =>
      parsed.type === 'flow_mod'
        ? { ...parsed, actions: parsed.actions.map((a) => (a.type === 'output' ? { ...a, maxLen: 0xffff } : a)) }
        : parsed,
  },
  {
    what: 'by which cookie flows are chosen',
    printed: ['1.3', '1.5'].map((v) => `OFPST_FLOW request (OF${v}) (xid=0x2): table=3 ip`),
    restore: (parsed, original) =>
      parsed.type === 'flow_stats_request' && original.type === 'flow_stats_request'
        ? { ...parsed, cookie: original.cookie, cookieMask: original.cookieMask }
        : parsed,
  },
  {
    what: 'the order of ports: they are printed sorted',
    printed: PORTS,
    restore: (parsed, original) =>
      parsed.type === 'port_desc_reply' && original.type === 'port_desc_reply'
        ? {
            ...parsed,
            ports: original.ports.map(({ port }) => parsed.ports.find((each) => each.port === port)) as never,
          }
        : parsed,
  },
  {
    what: "Intel's property of RFC 2819 counters that are all unknown",
    printed: ['OFPST_PORT reply (OF1.5) (xid=0x2): 2 ports'],
    restore: (parsed, original) => {
      if (parsed.type !== 'port_stats_reply' || original.type !== 'port_stats_reply') return parsed;
      const ports = parsed.ports.map((stats, at) => {
        const [rfc2819] = original.ports[at]?.properties ?? [];
        return rfc2819 === undefined ? stats : { ...stats, properties: [rfc2819, ...stats.properties] };
      });
      return { ...parsed, ports };
    },
  },
];

describe('the text of every recorded frame', () => {
  const used = new Set<string>();

  it.each(FRAMES)('$printed', ({ hex, printed }) => {
    const { version, message } = parseMessage(printed);
    if (toHex(version, message) === hex) return;
    // Only what is listed may be missing, and nothing but that.
    const entry = LEFT_OUT.find((each) => each.printed.some((text) => printed.startsWith(text)));
    expect(entry, printed).toBeDefined();
    for (const text of entry?.printed ?? []) if (printed.startsWith(text)) used.add(text);
    const { message: original } = decodeMessage(Buffer.from(hex, 'hex'));
    expect(toHex(version, entry?.restore(message, original) ?? message)).toBe(hex);
  });

  it('says all of the message, but for a list that has nothing in vain', () => {
    expect([...used].toSorted()).toEqual(LEFT_OUT.flatMap(({ printed }) => printed).toSorted());
  });
});
