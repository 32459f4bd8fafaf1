import { describe, expect, it } from 'vitest';
import type { KubeObject } from './json.ts';
import { labelSelectorObject, parseFieldSelector, parseLabelSelector } from './selectors.ts';

const object = (labels: Record<string, string>, more: object = {}): KubeObject => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'a', namespace: 'n', uid: 'u', resourceVersion: '1', creationTimestamp: '', labels },
  ...more,
});

describe('label selectors', () => {
  it.each([
    ['a=1', { a: '1' }, true],
    ['a==1', { a: '2' }, false],
    ['a!=1', {}, true],
    ['a!=1', { a: '1' }, false],
    ['a in (1, 2)', { a: '2' }, true],
    ['a in (1,2)', {}, false],
    ['a notin (1,2)', {}, true],
    ['a notin (1,2)', { a: '1' }, false],
    ['a', { a: '' }, true],
    ['!a', { a: '' }, false],
    ['a>5', { a: '10' }, true],
    ['a<5', { a: '10' }, false],
    ['a>5', { a: 'x' }, false],
    ['example.com/b-c in (x),!d,e', { 'example.com/b-c': 'x', e: '' }, true],
    ['a=', { a: '' }, true],
    ['!constructor', {}, true],
    ['constructor', {}, false],
  ])('%s of %j is %s', (text, labels, expected) => {
    expect(parseLabelSelector(text)?.matches(object(labels as Record<string, string>))).toBe(expected);
  });

  it('selects everything when empty', () => {
    expect(parseLabelSelector('')).toBeUndefined();
  });

  it.each(['a in 1', '-x=1', 'a=b=c', 'a>x', 'a=!'])('refuses %s', (text) => {
    expect(() => parseLabelSelector(text)).toThrow(/unable to parse requirement/);
  });

  it('evaluates selector objects; an absent one matches nothing, an empty one everything', () => {
    expect(labelSelectorObject(undefined)({})).toBe(false);
    expect(labelSelectorObject({})({ a: '1' })).toBe(true);
    const test = labelSelectorObject({
      matchLabels: { a: '1' },
      matchExpressions: [
        { key: 'b', operator: 'NotIn', values: ['2'] },
        { key: 'c', operator: 'DoesNotExist' },
      ],
    });
    expect(test({ a: '1' })).toBe(true);
    expect(test({ a: '1', b: '2' })).toBe(false);
    expect(test({ a: '1', c: '' })).toBe(false);
  });
});

describe('field selectors', () => {
  const fields = new Set(['spec.nodeName', 'status.phase']);

  it('compares fields, absent ones being empty', () => {
    const selector = parseFieldSelector('spec.nodeName=n1,status.phase!=Failed', fields);
    expect(selector?.matches(object({}, { spec: { nodeName: 'n1' } }))).toBe(true);
    expect(selector?.matches(object({}, { spec: { nodeName: 'n1' }, status: { phase: 'Failed' } }))).toBe(false);
    expect(parseFieldSelector('spec.nodeName=', fields)?.matches(object({}))).toBe(true);
  });

  it('tells the name it pins', () => {
    expect(parseFieldSelector('metadata.name=a', fields)?.name).toBe('a');
    expect(parseFieldSelector('metadata.name!=a', fields)?.name).toBeUndefined();
  });

  it('refuses fields that the resource cannot be selected by', () => {
    expect(() => parseFieldSelector('spec.x=1', fields)).toThrow('field label not supported: spec.x');
  });
});
