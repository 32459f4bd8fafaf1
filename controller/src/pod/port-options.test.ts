import { describe, expect, it } from 'vitest';
import { makeNamespace } from '../testing/world.ts';
import { portOptionsOf } from './port-options.ts';

const P = 'ovn.kubernetes.io/';
const trusted = { ...makeNamespace('lab'), labels: { 'ovenbird.io/allow-unsafe-ports': 'true' } };

describe('portOptionsOf', () => {
  it('is safe by default', () => {
    const safe = { secure: true, forward: false, vips: [], problems: [] };
    expect(portOptionsOf({}, undefined)).toEqual(safe);
    expect(portOptionsOf({ [`${P}port_security`]: 'true', [`${P}layer2_forward`]: 'false' }, undefined)).toEqual(safe);
  });

  it('does what a labelled namespace asks for', () => {
    const asked = {
      [`${P}port_security`]: 'false',
      [`${P}layer2_forward`]: 'true',
      [`${P}port_vips`]: 'FD00::5, 10.0.0.5,10.0.0.5',
    };
    expect(portOptionsOf(asked, trusted)).toEqual({
      secure: false,
      forward: true,
      vips: ['10.0.0.5', 'fd00::5'],
      problems: [],
    });
  });

  it('lets a port that forwards have the frames of others, unless it asks for port security', () => {
    const forward = { [`${P}layer2_forward`]: 'true' };
    expect(portOptionsOf(forward, trusted)).toMatchObject({ secure: false, forward: true });
    expect(portOptionsOf({ ...forward, [`${P}port_security`]: 'true' }, trusted)).toMatchObject({
      secure: true,
      forward: true,
    });
  });

  it.each([
    ['port_security', 'false'],
    ['layer2_forward', 'true'],
    ['port_vips', '10.0.0.5'],
  ])('refuses %s to any other', (key, value) => {
    const options = portOptionsOf({ [`${P}${key}`]: value }, makeNamespace('tenant'));
    expect(options).toMatchObject({
      secure: true,
      forward: false,
      vips: [],
      problems: [{ reason: 'UnsafePortForbidden' }],
    });
    expect(options.problems[0]?.message).toContain('label it ovenbird.io/allow-unsafe-ports=true');
  });

  it('takes what the pod does not say from its namespace', () => {
    const namespace = {
      ...trusted,
      annotations: { [`${P}port_security`]: 'false', [`${P}port_vips`]: '10.0.0.5', [`${P}layer2_forward`]: 'true' },
    };
    expect(portOptionsOf({}, namespace)).toMatchObject({ secure: false, forward: true, vips: ['10.0.0.5'] });
    expect(portOptionsOf({ [`${P}port_security`]: 'true', [`${P}port_vips`]: '' }, namespace)).toMatchObject({
      secure: true,
      forward: true,
      vips: [],
    });
    expect(portOptionsOf({}, { ...namespace, labels: {} })).toMatchObject({
      secure: true,
      problems: [{ reason: 'UnsafePortForbidden' }],
    });
  });

  it('says what it cannot read', () => {
    const bad = { [`${P}port_security`]: 'no', [`${P}port_vips`]: '10.0.0.5,x' };
    const options = portOptionsOf(bad, trusted);
    expect(options).toMatchObject({ secure: true, vips: ['10.0.0.5'] });
    expect(options.problems.map(({ reason }) => reason)).toEqual(['InvalidAnnotation', 'InvalidAnnotation']);
  });
});
