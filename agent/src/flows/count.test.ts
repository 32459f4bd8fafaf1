import { describe, expect, it } from 'vitest';
import { meaningKey, portOfFlow, subjectsOf } from './count.ts';
import type { FlowMeaning } from './explainer.ts';
import { readings } from './reader.ts';
import { flowOf, outAcl, ruleOf } from './testing.ts';

const general: FlowMeaning = { stage: 'ls_out_acl', datapath: 'net' };

/** The flows are those that ovn-controller 23.03 makes. */
describe('subjectsOf', () => {
  const subjects = (text: string, meaning: FlowMeaning): readonly unknown[] =>
    subjectsOf(flowOf(text), outAcl, meaning).map((subject) =>
      subject.type === 'rule' ? `${subject.rule.rule} ${subject.state}` : subject,
    );

  it('tells new connections from established ones by the hint', () => {
    const allow = ruleOf('ingress/0', 'allow');
    expect(subjects('table=46,priority=3001,ip,reg0=0x80/0x80,metadata=0x1,actions=resubmit(,47)', allow)).toEqual([
      'ingress/0 new',
    ]);
    expect(subjects('table=46,priority=3001,ip,reg0=0x100/0x100,metadata=0x1,actions=resubmit(,47)', allow)).toEqual([
      'ingress/0 established',
    ]);
  });

  it('counts drops of rules by rule and by reason, also those that end a connection', () => {
    const acl = { type: 'drop', reason: 'acl', network: 'net', direction: 'ingress' };
    const drop = ruleOf('ingress/drop', 'drop');
    expect(subjects('table=46,priority=3000,ip,reg0=0x200/0x200,metadata=0x1,actions=drop', drop)).toEqual([
      'ingress/drop new',
      acl,
    ]);
    const text = 'table=46,priority=3000,ip,reg0=0x400/0x400,metadata=0x1,actions=ct(commit,zone=NXM_NX_REG13[0..15])';
    expect(subjects(text, drop)).toEqual(['ingress/drop established', acl]);
  });

  it('knows replies and packets that connection tracking refuses, and leaves the rest alone', () => {
    const reply =
      'table=46,priority=65532,ct_state=-new+est-rel+rpl-inv+trk,ct_mark=0/0x1,metadata=0x1,actions=resubmit(,47)';
    expect(subjects(reply, general)).toEqual([{ type: 'established', network: 'net', direction: 'ingress' }]);
    expect(subjects('table=46,priority=65532,ct_state=+inv+trk,metadata=0x1,actions=drop', general)).toEqual([
      { type: 'drop', reason: 'conntrack', network: 'net', direction: 'ingress' },
    ]);
    for (const text of [
      'table=46,priority=1,ct_state=-est+trk,ip,metadata=0x1,actions=resubmit(,47)',
      'table=46,priority=0,metadata=0x1,actions=resubmit(,47)',
    ])
      expect(subjects(text, general)).toEqual([]);
  });
});

describe('flows and ports', () => {
  it('asks by cookie and datapath; parts of conjunctions have no cookie', () => {
    expect(meaningKey(flowOf('cookie=0x9bde362,table=25,priority=1,ip,metadata=0x1f,actions=drop'))).toBe(
      '09bde362.31',
    );
    expect(meaningKey(flowOf('table=25,priority=1,ip,metadata=0x1,actions=drop'))).toBeUndefined();
  });

  it('takes the port of the direction', () => {
    const flow = flowOf('table=46,priority=1,ip,reg14=0x7,reg15=0x2,metadata=0x1,actions=drop');
    expect(portOfFlow(flow, 'ingress')).toBe('1.2');
    expect(portOfFlow(flow, 'egress')).toBe('1.7');
    expect(portOfFlow(flowOf('table=46,priority=1,ip,metadata=0x1,actions=drop'), 'ingress')).toBeUndefined();
  });

  it('finds the ports of a conjunction, and leaves out what nobody has explained', () => {
    const flows = [
      flowOf('table=46,priority=3001,ip,reg0=0x80/0x80,reg15=0x1,metadata=0x1,actions=conjunction(77,2/2)'),
      flowOf('table=46,priority=3001,ip,reg0=0x80/0x80,reg15=0x2,metadata=0x1,actions=conjunction(77,2/2)'),
      flowOf('table=46,priority=3001,ip,reg0=0x80/0x80,nw_src=10.0.0.7,metadata=0x1,actions=conjunction(77,1/2)'),
      flowOf(
        'cookie=0x9cb95ae3,table=46,priority=3001,conj_id=77,ip,reg0=0x80/0x80,metadata=0x1,actions=resubmit(,47)',
        { packetCount: 9n, byteCount: 900n },
      ),
      flowOf('cookie=0x11111111,table=46,priority=3001,ip,metadata=0x1,actions=resubmit(,47)', { packetCount: 4n }),
    ];
    const found = readings(
      { stage: outAcl, flows, keys: flows.map(meaningKey) },
      new Map([['9cb95ae3.1', ruleOf('ingress/0', 'allow')]]),
    );
    expect(found).toHaveLength(1);
    expect(found[0]).toMatchObject({ packets: 9, bytes: 900, port: undefined, ports: new Set(['1.1', '1.2']) });
  });
});
