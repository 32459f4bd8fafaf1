import fc from 'fast-check';
import type { Finalized } from '../api-effects.ts';
import type { Key, Pod, Subnet, Tables } from '../store/model.ts';
import {
  makeIp,
  makeNamespace,
  makeNode,
  makePod,
  makePool,
  makeStatefulSet,
  makeSubnet,
  makeVip,
  makeVpc,
  type Watched,
  type World,
} from './world.ts';

/** Where changes are made. */
export interface Target {
  readonly state: Pick<World['state'], 'get'>;
  readonly set: <K extends Watched>(kind: K, object: Tables[K]) => void;
  readonly delete: (kind: Watched, key: Key) => void;
}

/** One random change of the cluster; it prints itself when a property fails. */
export type Step<T = World> = (world: T) => void;

/** Gives a step the text that a failed property prints. */
export const named = <T = World>(text: string, apply: Step<T>): Step<T> =>
  Object.assign(apply, { [fc.toStringMethod]: () => text });

const P = 'ovn.kubernetes.io/';
const podName = fc.constantFrom('p0', 'p1', 'p2', 'p3', 'db-0', 'db-1', 'vm-a', 'vm-b');
const namespace = fc.constantFrom('default', 'other');
const nodeName = fc.constantFrom('node-1', 'node-2', 'node-3');
const subnetName = fc.constantFrom('red', 'blue', 'shore', 'ovn-default');
const labels = fc.constantFrom<Record<string, string>>({}, { app: 'web' }, { app: 'db' });
const annotations = fc
  .record(
    {
      logical_switch: subnetName,
      ip_family: fc.constantFrom('IPv4', 'IPv6'),
      ip_address: fc.constantFrom('10.50.0.3', 'fd00:10:50::3', '10.50.0.3,fd00:10:50::3', '10.50.0.9'),
      ip_pool: fc.constantFrom('spare', '10.50.0.3;10.50.0.4', 'nobody'),
      vip: fc.constantFrom('front', 'back'),
      aaps: fc.constantFrom('front', 'front,back'),
      mac_address: fc.constantFrom('00:00:00:00:00:0a', '01:00:00:00:00:0a'),
      port_security: fc.constantFrom('true', 'false'),
    },
    { requiredKeys: [] },
  )
  .map((wishes) => Object.fromEntries(Object.entries(wishes).map(([key, value]) => [`${P}${key}`, value])));
/** Most pods ask for little: those that ask for everything are refused. */
const request = fc.oneof(
  fc.constant({}),
  subnetName.map((name): Record<string, string> => ({ [`${P}logical_switch`]: name })),
  annotations,
);

const cidrs: Readonly<Record<string, readonly string[]>> = {
  red: ['10.50.0.0/29,fd00:10:50::/125', '10.50.0.0/28,fd00:10:50::/124', '10.50.0.0/24'],
  blue: ['10.60.0.0/29', '10.50.0.0/28', 'fd00:10:60::/125'],
  shore: ['10.50.0.0/29', '10.16.0.0/28,fd00:10:16::/124'],
};
const tunable = fc.record<Partial<Subnet>>(
  {
    excludeIps: fc.constantFrom<string[]>([], ['10.50.0.3..10.50.0.4'], ['10.50.0.2']),
    namespaces: fc.constantFrom<string[]>([], ['default'], ['other']),
    namespaceSelectors: fc.constantFrom<Subnet['namespaceSelectors']>(
      [],
      [[{ key: 'team', operator: 'Exists', values: [] }]],
    ),
    isDefault: fc.boolean(),
    private: fc.boolean(),
    allowSubnets: fc.constantFrom<string[]>([], ['10.16.0.0/16'], ['10.60.0.0/29', 'fd00:10:16::/112']),
    allowEastWest: fc.boolean(),
    natOutgoing: fc.boolean(),
    multicastSnoop: fc.boolean(),
    mtu: fc.constantFrom(1300, 1400),
    dhcp: fc.constantFrom({ v4: '', v6: '' }, { v4: 'lease_time=60', v6: '' }),
    ra: fc.constantFrom('', 'address_mode=slaac'),
    acls: fc.constantFrom<Subnet['acls']>(
      [],
      [{ direction: 'to-lport', priority: 5, match: 'ip4.src == 10.0.0.0/8', action: 'drop' }],
      [{ direction: 'to-lport', priority: 5, match: 'nonsense', action: 'drop' }],
    ),
  },
  { requiredKeys: [] },
);

const keeperOf = (name: string, space: string): Partial<Pod> =>
  name.startsWith('db-')
    ? { keepFor: `StatefulSet/${space}/db` }
    : name.startsWith('vm-')
      ? { keepFor: `VirtualMachine/${space}/vm` }
      : {};

const text = (value: unknown): string => JSON.stringify(value);

/** Puts the object that is not there, or deletes the one that is. */
const toggle = (world: Target, kind: Watched, key: string, put: () => void): void => {
  if (world.state.get(kind, key) === undefined) put();
  else world.delete(kind, key);
};

const podSteps = fc.oneof(
  fc.tuple(podName, namespace, nodeName, labels, request).map(([name, space, node, has, wishes]) =>
    named(`pod ${space}/${name} on ${node} ${text(has)} ${text(wishes)}`, (world: Target) => {
      if (world.state.get('Pod', `${space}/${name}`) !== undefined) return;
      world.set('Pod', makePod(space, name, node, { annotations: wishes, labels: has, ...keeperOf(name, space) }));
    }),
  ),
  fc
    .tuple(podName, namespace)
    .map(([name, space]) =>
      named(`delete pod ${space}/${name}`, (world: Target) => world.delete('Pod', `${space}/${name}`)),
    ),
  fc
    .tuple(podName, namespace, nodeName, request)
    .map(([name, space, node, wishes]) =>
      named(`recreate pod ${space}/${name} on ${node} ${text(wishes)}`, (world: Target) =>
        world.set('Pod', makePod(space, name, node, { annotations: wishes, ...keeperOf(name, space) })),
      ),
    ),
  fc.tuple(podName, namespace, labels, fc.boolean()).map(([name, space, has, finished]) =>
    named(`pod ${space}/${name} becomes ${text(has)} finished ${finished}`, (world: Target) => {
      const pod = world.state.get('Pod', `${space}/${name}`);
      if (pod !== undefined) world.set('Pod', { ...pod, labels: has, finished: pod.finished || finished });
    }),
  ),
);

const subnetSteps = fc.oneof(
  fc.tuple(fc.constantFrom('red', 'blue', 'shore'), fc.nat(2), tunable).map(([name, cidr, more]) =>
    named(`subnet ${name} ${cidr} ${text(more)}`, (world: Target) => {
      const block = cidrs[name]?.[cidr % (cidrs[name]?.length ?? 1)] ?? '';
      const old = world.state.get('Subnet', name);
      if (old === undefined)
        world.set('Subnet', makeSubnet(name, block, { ...more, ...(name === 'shore' ? { vpc: 'island' } : {}) }));
      else world.set('Subnet', { ...old, ...more });
    }),
  ),
  fc.constant(
    named('subnet red grows', (world: Target) => {
      const red = world.state.get('Subnet', 'red');
      const [small, large = ''] = cidrs['red'] ?? [];
      if (red !== undefined && red.cidrBlock === small) world.set('Subnet', { ...red, cidrBlock: large });
    }),
  ),
  fc.constantFrom('red', 'blue', 'shore').map((name) =>
    named(`delete subnet ${name}`, (world: Target) => {
      const subnet = world.state.get('Subnet', name);
      if (subnet !== undefined) world.set('Subnet', { ...subnet, deleting: true });
    }),
  ),
  fc.constantFrom<string[]>([], ['default'], ['other']).map((namespaces) =>
    named(`vpc island ${namespaces.join()}`, (world: Target) => {
      const vpc = world.state.get('Vpc', 'island');
      world.set('Vpc', vpc === undefined ? makeVpc('island', { namespaces }) : { ...vpc, namespaces });
    }),
  ),
  fc.constant(
    named('delete vpc island', (world: Target) => {
      const vpc = world.state.get('Vpc', 'island');
      if (vpc !== undefined) world.set('Vpc', { ...vpc, deleting: true });
    }),
  ),
);

const addressSteps = fc.oneof(
  fc
    .tuple(fc.constantFrom('red', 'blue'), fc.boolean(), fc.constantFrom<string[]>([], ['default']))
    .map(([subnet, addressSet, namespaces]) =>
      named(`toggle pool spare of ${subnet} ${addressSet} ${namespaces.join()}`, (world: Target) =>
        toggle(world, 'IPPool', 'spare', () =>
          world.set(
            'IPPool',
            makePool('spare', subnet, ['10.50.0.4..10.50.0.5', 'fd00:10:50::4'], { addressSet, namespaces }),
          ),
        ),
      ),
    ),
  fc.constantFrom<string[]>(['10.50.0.4'], ['10.50.0.3..10.50.0.6', 'fd00:10:50::4']).map((ips) =>
    named(`pool spare is ${ips.join()}`, (world: Target) => {
      const pool = world.state.get('IPPool', 'spare');
      if (pool !== undefined) world.set('IPPool', { ...pool, ips });
    }),
  ),
  fc
    .tuple(
      fc.constantFrom('front', 'back'),
      subnetName,
      namespace,
      fc.constantFrom(undefined, '10.50.0.3'),
      fc.boolean(),
    )
    .map(([name, subnet, space, v4, selects]) =>
      named(`toggle vip ${name} in ${subnet} of ${space} ${v4} ${selects}`, (world: Target) =>
        toggle(world, 'Vip', name, () =>
          world.set(
            'Vip',
            makeVip(name, subnet, space, {
              ...(v4 === undefined ? {} : { v4 }),
              ...(selects ? { selector: [['app', 'web']] } : {}),
            }),
          ),
        ),
      ),
    ),
  fc
    .tuple(fc.constantFrom('mine', 'theirs'), fc.constantFrom('10.50.0.2', '10.50.0.3', '10.50.0.200'))
    .map(([name, v4]) =>
      named(`toggle reservation ${name} of ${v4}`, (world: Target) =>
        toggle(world, 'IpRecord', name, () => world.set('IpRecord', makeIp(name, 'red', { v4 }))),
      ),
    ),
  fc
    .tuple(namespace, fc.constantFrom('red', 'blue'))
    .map(([space, subnet]) =>
      named(`toggle set ${space}/db in ${subnet}`, (world: Target) =>
        toggle(world, 'StatefulSet', `${space}/db`, () =>
          world.set('StatefulSet', makeStatefulSet(space, 'db', { template: { [`${P}logical_switch`]: subnet } })),
        ),
      ),
    ),
  namespace.map((space) =>
    named(`toggle machine ${space}/vm`, (world: Target) =>
      toggle(world, 'VirtualMachine', `${space}/vm`, () =>
        world.set('VirtualMachine', {
          ...{ name: 'vm', namespace: space, uid: makeNamespace('').uid, created: '', deleting: false },
          template: {},
        }),
      ),
    ),
  ),
);

const clusterSteps = fc.oneof(
  nodeName.map((name) =>
    named(`toggle node ${name}`, (world: Target) =>
      toggle(world, 'Node', name, () => world.set('Node', makeNode(name, ['172.30.1.7']))),
    ),
  ),
  fc
    .tuple(
      namespace,
      fc.constantFrom(undefined, 'red', 'blue', 'shore'),
      fc.constantFrom<Record<string, string>>({}, { team: 'a' }, { 'ovenbird.io/allow-unsafe-ports': 'true' }),
    )
    .map(([name, subnet, has]) =>
      named(`namespace ${name} ${subnet} ${text(has)}`, (world: Target) =>
        world.set('Namespace', {
          ...(world.state.get('Namespace', name) ?? makeNamespace(name)),
          labels: has,
          annotations: subnet === undefined ? {} : { [`${P}logical_switch`]: subnet },
        }),
      ),
    ),
  fc.tuple(nodeName, labels, fc.constantFrom('172.30.1.9', '10.60.0.1')).map(([name, has, address]) =>
    named(`node ${name} ${text(has)} ${address}`, (world: Target) => {
      const node = world.state.get('Node', name);
      if (node !== undefined) world.set('Node', { ...node, labels: has, addresses: [address] });
    }),
  ),
);

/** A change of pods, subnets, and of whatever holds addresses. */
export const randomStep: fc.Arbitrary<Step<Target>> = fc.oneof(
  { weight: 5, arbitrary: podSteps },
  { weight: 3, arbitrary: subnetSteps },
  { weight: 3, arbitrary: addressSteps },
  { weight: 1, arbitrary: clusterSteps },
);

/** As the API server does it: what is marked for deletion and has no finalizer any more goes. */
export async function collect(world: World): Promise<void> {
  await world.settle();
  for (const finalized of world.finalized) {
    const slash = finalized.indexOf('/');
    const kind = finalized.slice(0, slash) as Finalized;
    const name = finalized.slice(slash + 1);
    world.finalized.delete(finalized);
    if (world.state.get(kind, name)?.deleting === true && world.brain.isFinished(kind, name)) world.delete(kind, name);
  }
  await world.settle();
}
