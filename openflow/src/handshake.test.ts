import { describe, expect, it } from 'vitest';
import { chooseVersion, DEFAULT_VERSIONS, greeting } from './handshake.ts';
import type { Hello } from './messages/session.ts';
import { OF10, OF13, OF14, OF15 } from './version.ts';

const bitmap = (...versions: readonly number[]): Hello => ({ type: 'hello', xid: 1, versions });
const plain: Hello = { type: 'hello', xid: 1 };

describe('the version', () => {
  it('is the highest in both bitmaps', () => {
    expect(chooseVersion(DEFAULT_VERSIONS, 6, bitmap(1, 4, 5, 6))).toBe(OF15);
    expect(chooseVersion(DEFAULT_VERSIONS, 5, bitmap(1, 4, 5))).toBe(OF14);
    expect(chooseVersion(DEFAULT_VERSIONS, 4, bitmap(1, 4))).toBe(OF13);
    // A later version in the header does not hide an earlier one in the bitmap.
    expect(chooseVersion(DEFAULT_VERSIONS, 7, bitmap(4, 7))).toBe(OF13);
    expect(chooseVersion([OF13], 6, bitmap(4, 5, 6))).toBe(OF13);
  });

  it('is the lower header when the other side sends no bitmap', () => {
    expect(chooseVersion(DEFAULT_VERSIONS, 6, plain)).toBe(OF15);
    expect(chooseVersion(DEFAULT_VERSIONS, 5, plain)).toBe(OF14);
    expect(chooseVersion(DEFAULT_VERSIONS, 4, plain)).toBe(OF13);
    expect(chooseVersion(DEFAULT_VERSIONS, 9, plain)).toBe(OF15);
  });

  it('is none when there is no common one', () => {
    expect(chooseVersion(DEFAULT_VERSIONS, 1, bitmap(1))).toBeUndefined();
    expect(chooseVersion(DEFAULT_VERSIONS, 1, plain)).toBeUndefined();
    expect(chooseVersion(DEFAULT_VERSIONS, 3, plain)).toBeUndefined();
    expect(chooseVersion([OF15], 4, plain)).toBeUndefined();
    expect(chooseVersion(DEFAULT_VERSIONS, 6, bitmap())).toBeUndefined();
  });
});

it('offers all versions, in the header of the highest', () => {
  expect(greeting([OF14, OF15, OF10])).toEqual({
    version: OF15,
    hello: { type: 'hello', xid: 1, versions: [OF10, OF14, OF15] },
  });
});
