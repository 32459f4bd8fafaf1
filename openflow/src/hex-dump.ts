import type { TextReader } from './text-reader.ts';

const ROW = 16;

/** Bytes as 16 to a line, hexadecimal and as characters, the way ovs-ofctl dumps what it cannot decode. */
export function hexDump(bytes: Uint8Array): string {
  const lines: string[] = [];
  for (let at = 0; at < bytes.length; at += ROW) {
    const row = Array.from(bytes.subarray(at, at + ROW));
    const cells = Array.from({ length: ROW }, (_, place) => {
      const byte = row[place];
      const separator = place === ROW / 2 && row.length >= ROW / 2 ? '-' : ' ';
      return separator + (byte === undefined ? '  ' : byte.toString(16).padStart(2, '0'));
    });
    const characters = row.map((byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '.')).join('');
    lines.push(`${at.toString(16).padStart(8, '0')} ${cells.join('')} |${characters.padEnd(ROW)}|\n`);
  }
  return lines.join('');
}

const LINE = /[0-9a-f]{8} ([0-9a-f -]{48}) \|.{0,16}\|\n?/y;

/** Reads lines that `hexDump` printed, as far as there are some. */
export function parseHexDump(r: TextReader): Uint8Array {
  const bytes: number[] = [];
  for (;;) {
    const line = r.take(LINE);
    if (line === undefined) return Uint8Array.from(bytes);
    for (const [digits] of line.slice(9, 57).matchAll(/[0-9a-f]{2}/g)) bytes.push(Number.parseInt(digits, 16));
  }
}
