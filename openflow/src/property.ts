/** Properties: type, length, value, padded to 8 bytes (OpenFlow 1.4 and later). */
import type { Reader } from './reader.ts';
import type { Writer } from './writer.ts';

/** A property that nothing here reads, kept as it is. */
export interface RawProperty {
  readonly propertyType: number;
  /** After type and length, without padding. */
  readonly data: Uint8Array;
  /** Its place among all properties, from 0, where known ones came behind it; else it goes to the end. */
  readonly place?: number | undefined;
}

/**
 * Reads properties up to the reader's end.
 * @param known reads a property it knows, within its bounds, and says so; others are returned, as are repeated ones
 */
export function readProperties(r: Reader, known: (type: number, length: number) => boolean): readonly RawProperty[] {
  const unknown: (RawProperty & { place: number })[] = [];
  const seen = new Set<number>();
  let place = 0;
  let lastKnown = -1;
  for (; r.left >= 4; place += 1) {
    const start = r.pos;
    const propertyType = r.u16();
    const length = r.u16();
    if (length < 4) throw r.malformed(`a property of ${length} bytes`);
    const end = r.narrow(length - 4);
    const at = r.pos;
    if (!seen.has(propertyType) && known(propertyType, length)) {
      seen.add(propertyType);
      lastKnown = place;
    } else {
      r.pos = at;
      unknown.push({ propertyType, data: r.rest(), place });
    }
    r.widen(end);
    r.skip(Math.min((8 - ((r.pos - start) % 8)) % 8, r.left));
  }
  return unknown.map(({ propertyType, data, place }) =>
    place < lastKnown ? { propertyType, data, place } : { propertyType, data },
  );
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

/** The properties that were written since `start`, each with its padding. */
function split(bytes: Uint8Array): readonly Uint8Array[] {
  const properties: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = ((bytes[at + 2] ?? 0) << 8) | (bytes[at + 3] ?? 0);
    const end = at + Math.ceil(length / 8) * 8;
    properties.push(bytes.slice(at, end));
    at = end;
  }
  return properties;
}

/**
 * Writes properties, those that were kept at the places where they stood.
 * @param known writes the others, each by `writeProperty`
 */
export function writeProperties(w: Writer, kept: readonly RawProperty[] | undefined, known: () => void): void {
  const start = w.length;
  known();
  if (kept === undefined) return;
  const placed = kept.filter(({ place }) => place !== undefined);
  if (placed.length > 0) {
    const written = split(w.since(start));
    w.truncate(start);
    let next = 0;
    for (let place = 0; next < written.length || placed.length > 0; place += 1) {
      // One whose place is beyond the end comes last.
      const [first] = placed;
      if (first !== undefined && (first.place === place || next >= written.length)) {
        writeProperty(w, first.propertyType, () => w.bytes(first.data));
        placed.shift();
      } else {
        w.bytes(written[next] ?? new Uint8Array());
        next += 1;
      }
    }
  }
  for (const { propertyType, data, place } of kept) {
    if (place === undefined) writeProperty(w, propertyType, () => w.bytes(data));
  }
}
