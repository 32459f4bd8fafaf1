/** Text of the properties of a new NSH header: `md_type=2,tlv(0x1000,10,0x12345678)`. */
import type { EncapProperty } from '../action.ts';
import { readArguments, unknownArgument, valueOf } from '../arguments.ts';
import { OpenFlowError } from '../error.ts';
import { paddedHex, parseBytes, parseNumber } from '../number-text.ts';

/** The property class of NSH, and its types. */
const NSH_CLASS = 4;
const MD_TYPE = 1;
const TLV = 2;

/** A property as text. */
function printProperty({ propertyClass, propertyType, data }: EncapProperty): string {
  const [first = 0, second = 0, type = 0, length = 0] = data;
  if (propertyClass === NSH_CLASS && propertyType === MD_TYPE) return `md_type=${first}`;
  if (propertyClass === NSH_CLASS && propertyType === TLV && data.length >= 4 + length) {
    const value = Buffer.from(data.subarray(4, 4 + length)).toString('hex');
    return `tlv(${paddedHex(first * 256 + second, 4)},${type},0x${value})`;
  }
  return `property(${propertyClass},${propertyType},0x${Buffer.from(data).toString('hex')})`;
}

/** Properties as text. */
export function printProperties(properties: readonly EncapProperty[]): string {
  return properties.map(printProperty).join(',');
}

/** @throws OpenFlowError `syntax` */
export function parseProperties(text: string | undefined): readonly EncapProperty[] {
  return readArguments(text).map((argument) => {
    const value = valueOf(argument, 'encap');
    if (argument.word === 'md_type') {
      return {
        propertyClass: NSH_CLASS,
        propertyType: MD_TYPE,
        data: Uint8Array.of(parseNumber(value, 255, 'md_type')),
      };
    }
    if (argument.word !== 'tlv') throw unknownArgument(argument, 'encap');
    const [tlvClass = '', type = '', bytes = ''] = value.split(',').map((part) => part.trim());
    if (!bytes.startsWith('0x')) throw new OpenFlowError('syntax', `tlv(${value}): the value must begin with 0x`);
    const data = parseBytes(bytes.slice(2));
    const classNumber = parseNumber(tlvClass, 0xffff, 'a TLV class');
    const head = [classNumber >> 8, classNumber & 0xff, parseNumber(type, 255, 'a TLV type'), data.length];
    // Its length counts the padding to a multiple of 8, which the property's own header is part of.
    const padded = new Uint8Array(Math.ceil((4 + head.length + data.length) / 8) * 8 - 4);
    padded.set(head);
    padded.set(data, head.length);
    return { propertyClass: NSH_CLASS, propertyType: TLV, data: padded };
  });
}
