import { describe, expect, test } from 'vitest';
import { staleChassis } from './chassis.ts';

const row = (name: string, options?: string): { name: string; other_config: Map<string, string> } => ({
  name,
  other_config: new Map(options === undefined ? [] : [['ovn-cms-options', options]]),
});

describe('chassis without node', () => {
  test('are those that an agent marked, and no others', () => {
    const rows = [row('a', 'ovenbird'), row('b', 'enable-chassis-as-gw,ovenbird'), row('c', 'ovenbirds'), row('d')];
    expect(staleChassis(rows, (name) => name === 'a')).toEqual({ names: ['b'], tooMany: false });
  });

  test('are not believed when they are more than 20 and more than 30 of 100', () => {
    const rows = Array.from({ length: 70 }, (_, index) => row(`n${index}`, 'ovenbird'));
    const from = (index: number) => (name: string) => Number(name.slice(1)) >= index;
    expect(staleChassis(rows, from(21)).tooMany).toBe(false);
    expect(staleChassis(rows, from(22)).tooMany).toBe(true);
    expect(staleChassis(rows.slice(0, 3), () => false).tooMany).toBe(false);
  });
});
