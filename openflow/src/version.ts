/** An OpenFlow version as its byte on the wire: 1.0, 1.3, 1.4, 1.5. */
export type Version = 0x01 | 0x04 | 0x05 | 0x06;

/** OpenFlow 1.0, of which only a part is known. */
export const OF10 = 0x01;
/** OpenFlow 1.3. */
export const OF13 = 0x04;
/** OpenFlow 1.4. */
export const OF14 = 0x05;
/** OpenFlow 1.5. */
export const OF15 = 0x06;

/** Nicira's experimenter id. */
export const NX = 0x0000_2320;
/** The Open Networking Foundation's. */
export const ONF = 0x4f4e_4600;
/** That of NSH, of Open vSwitch's own. */
export const NSH = 0x005a_d650;
/** Netronome's: how a group selects. */
export const NTR = 0x0000_154d;

const NUMBERS: Readonly<Record<Version, string>> = { [OF10]: '1.0', [OF13]: '1.3', [OF14]: '1.4', [OF15]: '1.5' };

/** `1.5`. */
export function versionName(version: Version): string {
  return NUMBERS[version];
}

/** Whether a version byte is one that this package encodes and decodes. */
export function isVersion(byte: number): byte is Version {
  return byte === OF10 || byte === OF13 || byte === OF14 || byte === OF15;
}
