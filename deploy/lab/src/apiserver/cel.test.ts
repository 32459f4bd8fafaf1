import { describe, expect, it } from 'vitest';
import { CelCompileError, compileRule } from './cel.ts';

const value = (expression: string, self: unknown = {}): boolean | Error => compileRule(expression).evaluate(self);

describe('ip and cidr library', () => {
  it.each([
    ["isIP('10.0.0.1') && isIP('fd00::1') && !isIP('10.0.0.256') && !isIP('010.0.0.1') && !isIP('10.0.0.1/24')"],
    ["!isIP('fe80::1%eth0') && !isIP('::ffff:10.0.0.1') && !isIP('') && !isIP(' 10.0.0.1')"],
    [
      "isCIDR('10.0.0.5/24') && !isCIDR('10.0.0.0/33') && !isCIDR('10.0.0.0/024') && !isCIDR('10.0.0.0') && !isCIDR('/')",
    ],
    ["ip('10.0.0.1').family() == 4 && ip('fd00::1').family() == 6"],
    ["ip('0:0::1') == ip('::1') && ip('::1') != ip('::2')"],
    ["ip.isCanonical('::1') && !ip.isCanonical('0::1') && !ip.isCanonical('FD00::1')"],
    ["string(ip('FD00:0::1')) == 'fd00::1' && string(cidr('10.1.2.3/8').masked()) == '10.0.0.0/8'"],
    ["cidr('10.0.0.0/8').containsIP('10.2.3.4') && !cidr('10.0.0.0/8').containsIP('fd00::1')"],
    ["cidr('10.0.0.0/8').containsIP(ip('10.2.3.4')) && cidr('10.0.0.9/8').containsCIDR('10.1.0.0/16')"],
    ["!cidr('10.1.0.0/16').containsCIDR('10.0.0.0/8') && cidr('fd00::/8').containsCIDR(cidr('fd00::/8'))"],
    ["cidr('10.1.2.3/8').ip() == ip('10.1.2.3') && cidr('10.1.2.3/8').prefixLength() == 8"],
    ["ip('10.0.0.1').isGlobalUnicast() && !ip('255.255.255.255').isGlobalUnicast() && ip('127.0.0.1').isLoopback()"],
    ["ip('ff02::1').isLinkLocalMulticast() && ip('fe80::1').isLinkLocalUnicast() && ip('0.0.0.0').isUnspecified()"],
  ])('%s', (expression) => {
    expect(value(expression)).toBe(true);
  });

  it('reports bad input and wrong receivers as errors, not as false', () => {
    expect(value("cidr('nonsense').prefixLength() == 8")).toBeInstanceOf(Error);
    expect(value("cidr('10.0.0.0/8').containsIP('x')")).toBeInstanceOf(Error);
    expect(value("ip('10.0.0.1').prefixLength() == 8")).toBeInstanceOf(Error);
  });
});

describe('list, regex and string library', () => {
  it.each([
    ['[1, 2, 2].isSorted() && ![2, 1].isSorted() && [].isSorted()'],
    ['[1, 2].sum() == 3 && [3, 1].min() == 1 && [3, 1].max() == 3'],
    ["['a', 'b', 'a'].indexOf('a') == 0 && ['a', 'b', 'a'].lastIndexOf('a') == 2 && ['a'].indexOf('z') == -1"],
    ["'a,b,c'.split(',') == ['a', 'b', 'c'] && 'a,b,c'.split(',', 2) == ['a', 'b,c']"],
    ["'abc 123'.find('[0-9]+') == '123' && 'abc'.find('[0-9]+') == '' && '1 22'.findAll('[0-9]+') == ['1', '22']"],
    ["'a..b'.indexOf('..') == 1 && 'aBc'.lowerAscii() == 'abc' && ' a '.trim() == 'a' && 'abc'.substring(1, 2) == 'b'"],
    ['sets.contains([1, 2], [1]) && sets.equivalent([1, 2], [2, 1]) && !sets.intersects([1], [2])'],
    ["'abc'.matches('^a.c$') && 'a-b'.replace('-', '_') == 'a_b' && ['a', 'b'].join('-') == 'a-b'"],
    ['[1, 2].all(x, x > 0) && [1, 2].exists_one(x, x == 1) && [1, 2].map(x, x * 2) == [2, 4] && 1 in [1]'],
  ])('%s', (expression) => {
    expect(value(expression)).toBe(true);
  });
});

describe('compileRule', () => {
  it('sees objects as the server shows them', () => {
    expect(
      value("self.__namespace__ == 'a' && self.a__dash__b == 1 && !has(self.c)", { namespace: 'a', 'a-b': 1 }),
    ).toBe(true);
    const schema = { type: 'object', additionalProperties: { type: 'string' } };
    expect(compileRule("self['a-b'] == 'x'", undefined, schema).evaluate({ 'a-b': 'x' })).toBe(true);
    expect(compileRule('self / 2.0 == 2.5', undefined, { type: 'number' }).evaluate(5)).toBe(true);
    expect(value('self.n / 2 == 2', { n: 5 })).toBe(true);
  });

  it('knows transition rules', () => {
    const rule = compileRule('self == oldSelf');
    expect(rule.usesOldSelf).toBe(true);
    expect(rule.evaluate('a', 'a')).toBe(true);
    expect(rule.evaluate('a', 'b')).toBe(false);
    expect(compileRule('[1].all(oldSelf, oldSelf == 1)').usesOldSelf).toBe(false);
  });

  it('a missing field is an error', () => {
    expect(value("self.missing == 'a'")).toBeInstanceOf(Error);
    expect(compileRule('self.missing').verdict({})).toMatchObject({
      valid: false,
      error: expect.stringContaining('missing') as string,
    });
  });

  it('gives the message of the message expression, if that works', () => {
    expect(compileRule('self > 1', "'not ' + string(self)").verdict(1)).toEqual({ valid: false, message: 'not 1' });
    expect(compileRule('self > 1', 'string(self.x)').verdict(1)).toEqual({ valid: false });
    expect(compileRule('self > 1', "'x'").verdict(2)).toEqual({ valid: true });
  });

  it.each(['self ==', 'self.foo()', 'other == 1', '[1].all(x, y > 1)', "nothing.contains('a')"])(
    'refuses %s',
    (rule) => {
      expect(() => compileRule(rule)).toThrow(CelCompileError);
    },
  );
});
