/** Properties: type, length, value, padded to 8 bytes (OpenFlow 1.4 and later). */
import type { Reader } from './reader.ts';
import type { Writer } from './writer.ts';

/** A property that nothing here reads, kept as it is. */
export interface RawProperty {
  readonly propertyType: number;
  /** After type and length, without padding. */
  readonly data: Uint8Array;
}

/**
 * Reads properties up to the reader's end.
 * @param known reads a property it knows, within its bounds, and says so; others are returned
 */
export function readProperties(r: Reader, known: (type: number, length: number) => boolean): readonly RawProperty[] {
  const unknown: RawProperty[] = [];
  while (r.left >= 4) {
    const start = r.pos;
    const propertyType = r.u16();
    const length = r.u16();
    if (length < 4) throw r.malformed(`a property of ${length} bytes`);
    const end = r.narrow(length - 4);
    const at = r.pos;
    if (!known(propertyType, length)) {
      r.pos = at;
      unknown.push({ propertyType, data: r.rest() });
    }
    r.widen(end);
    r.skip(Math.min((8 - ((r.pos - start) % 8)) % 8, r.left));
  }
  return unknown;
}

/** Writes one property. */
export function writeProperty(w: Writer, type: number, body: () => void): void {
  const start = w.length;
  w.u16(type);
  w.u16(0);
  body();
  w.patch16(start + 2, w.length - start);
  w.pad8(start);
}

/** Writes properties that were kept. */
export function writeRawProperties(w: Writer, properties: readonly RawProperty[] | undefined): void {
  for (const { propertyType, data } of properties ?? []) writeProperty(w, propertyType, () => w.bytes(data));
}
