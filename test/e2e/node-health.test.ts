import { get } from 'node:http';
import { text } from 'node:stream/consumers';
import { run } from '@ovenbird/deploy';
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { openLab, type TestLab } from '../src/lab.ts';

interface NodeObject {
  readonly status: { readonly conditions: readonly { type: string; status: string; message: string }[] };
}

/** What a node says of its gateway and its tunnels, as conditions, events and metrics. */
describe('health of a node', () => {
  let lab: TestLab;
  const types = ['ovenbird.io/GatewayHealthy', 'ovenbird.io/TunnelsHealthy'];

  beforeAll(async () => {
    lab = await openLab();
  });

  /** `<gateway> <tunnels>` of a node, with the messages of what is not True. */
  const said = async (node: string): Promise<string> => {
    const { conditions } = (await lab.get<NodeObject>('node', node)).status;
    return types
      .map((type) => conditions.find((one) => one.type === type))
      .map((one) => (one?.status === 'True' ? 'True' : `${one?.status}: ${one?.message}`))
      .join(' ');
  };
  const until = async (node: string, wanted: RegExp): Promise<void> => {
    await lab.waitFor(
      `${node} says ${wanted}`,
      async () => ((now) => wanted.test(now) || now)(await said(node)),
      40_000,
    );
  };
  const metrics = async (node: string): Promise<string> =>
    await new Promise((resolve, reject) => {
      const { querySocket } = lab.layout.node(node);
      get({ socketPath: querySocket, path: '/metrics' }, (response) => void text(response).then(resolve, reject)).on(
        'error',
        reject,
      );
    });

  it('is told while packets do not come back, and when they do again', async () => {
    await Promise.all(lab.nodes.map((node) => until(node, /^True True$/)));
    const flows = async (command: string, flow: string): Promise<void> => {
      await run(['ovs-ofctl', '--strict', command, `unix:${lab.layout.node('node-3').run}/br-underlay.mgmt`, flow]);
    };
    const mend = async (): Promise<void> => {
      await flows('del-flows', 'priority=100,udp,tp_dst=6081');
      await lab.onNode('node-2', 'nft', 'add table inet health; delete table inet health');
    };
    onTestFinished(mend);
    // Tunnels into node-3 are deaf, and node-2 does not get at its gateway.
    await flows('add-flow', 'priority=100,udp,tp_dst=6081,actions=drop');
    await lab.onNode(
      'node-2',
      'nft',
      'add table inet health; add chain inet health output { type filter hook output priority 0; }; add rule inet health output oifname ovn0 ip daddr 100.64.0.1 drop',
    );
    await until('node-1', /^True False: .*UDP port 6081.*: node-3 \(100\.64\.0\.\d+\): no answer in 1000 ms$/);
    await until('node-2', /^False: .*: 100\.64\.0\.1: .* False: .*node-3/);
    await until('node-3', /^True False: .*node-1 .*node-2/);
    expect(await metrics('node-1')).toMatch(/^ovenbird_agent_tunnel_healthy\{peer="node-3"\} 0$/m);
    expect(await metrics('node-1')).toMatch(/^ovenbird_agent_tunnel_healthy\{peer="node-2"\} 1$/m);
    expect(await metrics('node-2')).toMatch(/^ovenbird_agent_gateway_healthy\{address="100\.64\.0\.1"\} 0$/m);
    const events = await lab.kubectl(['get', 'events', '-A']);
    expect(events).toContain('TunnelsUnhealthy');
    expect(events).toContain('GatewayUnhealthy');
    await mend();
    await Promise.all(lab.nodes.map((node) => until(node, /^True True$/)));
    expect(await metrics('node-1')).toMatch(/^ovenbird_agent_tunnel_round_trip_seconds\{peer="node-3"\} 0\.\d+/m);
  });
});
