import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { decodeMessage, encodeMessage, formatMessage } from './message-codec.ts';

const testdata = join(import.meta.dirname, '..', 'testdata');

/** Frames recorded from ovs-ofctl and ovs-vswitchd, and what `ovs-ofctl ofp-print` prints for them. */
const FRAMES: readonly { readonly hex: string; readonly printed: string }[] = readFileSync(
  join(testdata, 'printed.tsv'),
  'utf8',
)
  .split('\n')
  .filter((line) => line !== '')
  .map((line) => {
    const [hex = '', printed = '""'] = line.split('\t');
    return { hex, printed: JSON.parse(printed) as string };
  });

describe('every recorded frame', () => {
  it('is there', () => {
    expect(FRAMES.length).toBeGreaterThan(400);
  });

  it.each(FRAMES)('$hex', ({ hex, printed }) => {
    const { version, message } = decodeMessage(Buffer.from(hex, 'hex'));
    expect(Buffer.from(encodeMessage(version, message)).toString('hex')).toBe(hex);
    expect(message.type).not.toMatch(/^unknown/);
    // ovs-ofctl leaves spaces and line breaks at the end as they come.
    expect(formatMessage(version, message).trimEnd()).toBe(printed.trimEnd());
  });
});
