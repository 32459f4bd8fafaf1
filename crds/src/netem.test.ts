import { describe, expect, it } from 'vitest';
import { parseNetem } from './netem.ts';

const P = 'ovn.kubernetes.io/';
const read = (values: Record<string, string>): ReturnType<typeof parseNetem> =>
  parseNetem(Object.fromEntries(Object.entries(values).map(([key, value]) => [`${P}${key}`, value])));

describe('parseNetem', () => {
  it.each<[Record<string, string>, string]>([
    [{}, ''],
    [{ latency: '0', loss: '' }, ''],
    [{ limit: '50' }, ''],
    [{ latency: '20' }, 'delay 20ms'],
    [{ latency: '20', jitter: '5', loss: '0.5', limit: '50' }, 'delay 20ms 5ms loss 0.5% limit 50'],
    [{ loss: '100' }, 'loss 100%'],
  ])('%j', (values, text) => {
    expect(read(values)).toEqual({ text, problems: [] });
  });

  it('of a further interface: what names the interface wins over what is about all of its provider', () => {
    const further = { provider: 'blue.default.ovn', ifname: 'net1' };
    const key = (name: string): string => `blue.default.ovn.kubernetes.io/${name}`;
    const annotations = {
      'ovn.kubernetes.io/latency': '1',
      [key('latency')]: '2',
      [key('loss')]: '3',
      [key('loss.net1')]: '4',
      [key('jitter.net2')]: '5',
    };
    expect(parseNetem(annotations, further)).toEqual({ text: 'delay 2ms loss 4%', problems: [] });
    expect(parseNetem({ [key('jitter')]: '5' }, further).problems.join()).toContain(`set ${key('latency')} as well`);
    expect(parseNetem({ [key('latency.net1')]: 'x' }, further).problems.join()).toContain(key('latency.net1'));
  });

  it.each<[Record<string, string>, string, string]>([
    [{ latency: '20ms', loss: '1' }, 'loss 1%', 'latency: "20ms" is not a whole number of milliseconds'],
    [{ latency: '20', loss: '101' }, 'delay 20ms', 'loss: "101" is not a number of percent from 0 to 100'],
    [{ latency: '-1' }, '', 'is not a whole number'],
    [{ jitter: '3' }, '', 'set ovn.kubernetes.io/latency as well'],
  ])('%j', (values, text, problem) => {
    const found = read(values);
    expect(found.text).toBe(text);
    expect(found.problems.join()).toContain(problem);
  });
});
