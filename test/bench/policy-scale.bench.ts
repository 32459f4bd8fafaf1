/**
 * `npm run bench -- policy-scale [SHARE]`: the controller's middle compiles clusters of many policies from nothing, as after a
 * start: objects in memory, then addresses, sets and rows, without any database. Then one pod comes. The shapes are those of
 * Antrea's benchmark of its controller: 100,000 pods in large namespaces, and 75,000 policies in small ones.
 * SHARE (0 to 1, default: what fits into memory) scales the number of namespaces.
 */
import { totalmem } from 'node:os';
import { getHeapStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { projectNetworkPolicy } from '../../controller/src/store/projections.ts';
import {
  makeNamespace,
  makeNode,
  makePod,
  makeSubnet,
  makeVpc,
  rules,
  World,
} from '../../controller/src/testing/world.ts';
import { infoLine } from './report.ts';

interface Shape {
  readonly name: string;
  readonly namespaces: number;
  readonly pods: number;
}

/** Of three policies in each namespace. */
const shapes: readonly Shape[] = [
  { name: 'large-namespaces', namespaces: 1000, pods: 100 },
  { name: 'small-namespaces', namespaces: 25_000, pods: 4 },
];
const nodes = 100;
/** Heap that a pod takes with its rows, its share of policies and what the writer would add, as measured here, in bytes. */
const perPod = 16_000;

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

const heapMegabytes = (): number => {
  collect();
  return process.memoryUsage().heapUsed / 2 ** 20;
};

type Policy = Parameters<typeof projectNetworkPolicy>[0];

/** Isolation of all, a tier that its own neighbours reach, and one that another namespace's reach, by name of the port. */
function policiesOf(namespace: string, other: string): readonly Policy[] {
  const tier = (value: string): Policy['spec']['podSelector'] => ({ matchLabels: { tier: value } });
  return [
    { metadata: { namespace, name: 'isolation' }, spec: { podSelector: {}, policyTypes: ['Ingress', 'Egress'] } },
    {
      metadata: { namespace, name: 'inside' },
      spec: {
        podSelector: tier('0'),
        ingress: [{ from: [{ podSelector: tier('1') }], ports: [{ port: 80 }, { port: 8080, endPort: 8090 }] }],
        egress: [
          { to: [{ podSelector: tier('1') }, { ipBlock: { cidr: '192.0.2.0/24', except: ['192.0.2.128/25'] } }] },
        ],
      },
    },
    {
      metadata: { namespace, name: 'across' },
      spec: {
        podSelector: tier('1'),
        ingress: [
          {
            from: [
              { namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': other } }, podSelector: tier('0') },
            ],
            ports: [{ port: 'http' }],
          },
        ],
      },
    },
  ];
}

/** Everything a cluster of that shape holds, not compiled yet. */
function clusterOf(shape: Shape, namespaces: number): World {
  const world = new World();
  world.sink.checks = false;
  const { state } = world;
  state.set('Vpc', rules.defaultVpc, makeVpc(rules.defaultVpc));
  state.set('Subnet', rules.defaultSubnet, makeSubnet(rules.defaultSubnet, '10.0.0.0/12,fd00:10::/108'));
  state.set('Subnet', rules.joinSubnet, makeSubnet(rules.joinSubnet, '100.64.0.0/16,fd00:100:64::/112'));
  for (let index = 0; index < nodes; index += 1)
    state.set('Node', `node-${index}`, makeNode(`node-${index}`, [`172.30.${index >> 8}.${index & 255}`]));
  for (let index = 0; index < namespaces; index += 1) {
    const name = `n${index}`;
    state.set('Namespace', name, { ...makeNamespace(name), labels: { 'kubernetes.io/metadata.name': name } });
    for (const policy of policiesOf(name, `n${(index + 1) % namespaces}`))
      state.set('NetworkPolicy', `${name}/${policy.metadata.name}`, projectNetworkPolicy(policy));
    for (let pod = 0; pod < shape.pods; pod += 1) state.set('Pod', `${name}/p${pod}`, podOf(name, pod));
  }
  return world;
}

const podOf = (namespace: string, index: number): ReturnType<typeof makePod> =>
  makePod(namespace, `p${index}`, `node-${index % nodes}`, {
    labels: { tier: String(index % 2), app: `app-${index % 10}` },
    namedPorts: [{ name: 'http', protocol: 'tcp', number: 8080 }],
  });

/** Runs until nothing more follows from what was committed. */
async function settle(world: World): Promise<void> {
  for (let before = -1; world.sink.units.size !== before; ) {
    before = world.sink.units.size;
    world.brain.run();
    await new Promise((resolve) => setImmediate(resolve));
  }
}

async function measure(shape: Shape, share: number): Promise<void> {
  const namespaces = Math.max(1, Math.round(shape.namespaces * share));
  const empty = heapMegabytes();
  const world = clusterOf(shape, namespaces);
  const objects = heapMegabytes();
  const [start, cpu] = [performance.now(), process.cpuUsage()];
  world.brain.load();
  await settle(world);
  const seconds = (performance.now() - start) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  const compiled = heapMegabytes();
  const before = new Set(world.sink.units.keys());
  const units: string[] = [];
  world.sink.onUnit = (unit) => units.push(unit);
  const event = performance.now();
  world.state.set('Pod', 'n0/p-one-more', podOf('n0', shape.pods));
  world.brain.changed('Pod', ['n0/p-one-more']);
  world.brain.run();
  const milliseconds = performance.now() - event;
  console.log(
    infoLine(`policy-scale-${shape.name}`, {
      namespaces: [namespaces, ''],
      policies: [namespaces * 3, ''],
      pods: [namespaces * shape.pods, ''],
      compile: [seconds, 's'],
      cpu: [(user + system) / 1e6, 's'],
      objects: [objects - empty, 'MB'],
      heap: [compiled - empty, 'MB'],
      units: [before.size, ''],
      one_pod: [milliseconds, 'ms'],
      units_of_one_pod: [new Set(units).size, ''],
    }),
  );
  if (world.errors.length > 0) throw world.errors[0];
}

const [given] = process.argv.slice(2);
for (const shape of shapes) {
  const room = Math.min(getHeapStatistics().heap_size_limit, totalmem() / 2);
  const share = given === undefined ? Math.min(1, room / (shape.namespaces * shape.pods * perPod)) : Number(given);
  if (!(share > 0 && share <= 1)) throw new RangeError(`${given} is no share: a number above 0, at most 1`);
  await measure(shape, share);
}
