import { expect, test } from 'vitest';
import { withDefaultRoutes } from './default-routes.ts';

test('default routes of a result are those that are listed, of each family; others stay', () => {
  const other = { dst: '192.0.2.0/24', gw: '10.0.0.1' };
  const result = { ips: [], routes: [{ dst: '0.0.0.0/0', gw: '10.0.0.1' }, other, { dst: '::/0', gw: 'fd00::1' }] };
  expect(withDefaultRoutes(result, [])).toEqual({ ips: [], routes: [other] });
  expect(withDefaultRoutes(result, ['10.9.0.1', 'fd09::1'])?.routes).toEqual([
    other,
    { dst: '0.0.0.0/0', gw: '10.9.0.1' },
    { dst: '::/0', gw: 'fd09::1' },
  ]);
  expect(withDefaultRoutes({}, ['10.9.0.1'])).toEqual({ routes: [{ dst: '0.0.0.0/0', gw: '10.9.0.1' }] });
  expect(withDefaultRoutes(undefined, ['10.9.0.1'])).toBeUndefined();
});
