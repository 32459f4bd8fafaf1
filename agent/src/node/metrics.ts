import { GATEWAY, type PeerHealth } from './health.ts';

const gauge = (name: string, help: string, points: readonly (readonly [labels: string, value: number])[]): string => {
  if (points.length === 0) return '';
  const lines = points.map(([labels, value]) => `ovenbird_agent_${name}${labels} ${value}\n`);
  return `# HELP ovenbird_agent_${name} ${help}\n# TYPE ovenbird_agent_${name} gauge\n${lines.join('')}`;
};

/** Health of the node for Prometheus (text format 0.0.4). Names of nodes and addresses need no escapes. */
export function nodeMetrics(serves: boolean | undefined, peers: readonly PeerHealth[]): string {
  const known = peers.filter(({ healthy }) => healthy !== undefined);
  const [gateways, nodes] = [true, false].map((isGateway) =>
    known.filter(({ name }) => (name === GATEWAY) === isGateway),
  );
  const label = ({ name, address }: PeerHealth): string =>
    name === GATEWAY ? `{address="${address}"}` : `{peer="${name}"}`;
  const healthy = (list: readonly PeerHealth[] = []): (readonly [string, number])[] =>
    list.map((one) => [label(one), one.healthy === true ? 1 : 0]);
  return [
    gauge(
      'in_service',
      'Whether pods can be attached on this node.',
      serves === undefined ? [] : [['', serves ? 1 : 0]],
    ),
    gauge('gateway_healthy', "Whether the join network's router answers.", healthy(gateways)),
    gauge('tunnel_healthy', 'Whether a neighbour answers through the tunnel.', healthy(nodes)),
    gauge(
      'tunnel_round_trip_seconds',
      'Round trip to a neighbour and back, of the last answer.',
      (nodes ?? []).flatMap((one) => (one.ms === undefined ? [] : [[label(one), one.ms / 1000] as const])),
    ),
  ].join('');
}
