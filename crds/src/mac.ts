/** Ethernet addresses. */
import { AddressError } from './address-error.ts';

declare const macBrand: unique symbol;
/** A unicast MAC: six lower-case hex pairs joined by colons. */
export type Mac = string & { readonly [macBrand]: true };

const FORM = /^[0-9a-f]{2}(([:-])[0-9a-f]{2})(\2[0-9a-f]{2}){4}$/;

/**
 * @param text six hex pairs joined by `:` or `-`, any case
 * @returns lower case, joined by colons
 * @throws AddressError `bad-mac` for other text, and for multicast, broadcast and all-zero addresses (no port may have one)
 */
export function parseMac(text: string): Mac {
  const lower = text.toLowerCase();
  if (!FORM.test(lower))
    throw new AddressError(
      'bad-mac',
      text,
      `"${text}" is not a MAC address; write six pairs such as 02:00:00:00:00:01`,
    );
  const mac = lower.replaceAll('-', ':');
  if ((Number.parseInt(mac.slice(0, 2), 16) & 1) === 1)
    throw new AddressError(
      'bad-mac',
      text,
      `"${text}" is a multicast address; the first pair must be even, such as 02`,
    );
  if (mac === '00:00:00:00:00:00')
    throw new AddressError('bad-mac', text, `"${text}" is all zero; write a MAC such as 02:00:00:00:00:01`);
  return mac as Mac;
}

/** Whether {@link parseMac} accepts the text. */
export function isMac(text: string): boolean {
  try {
    parseMac(text);
    return true;
  } catch (error) {
    if (error instanceof AddressError) return false;
    throw error;
  }
}
