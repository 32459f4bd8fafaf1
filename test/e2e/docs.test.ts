import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { run } from '@ovenbird/deploy';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { openLab, type TestLab } from '../src/lab.ts';
import { addressesOf, type PodObject } from '../src/objects.ts';

/** What the test reads of an object of an example. */
interface Example {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly spec?: {
    readonly replicas?: number;
    readonly ordinals?: { readonly start: number };
    readonly v4IpAddress?: string;
    readonly podName?: string;
    readonly namespace?: string;
  };
  readonly [key: string]: unknown;
}

const folder = fileURLToPath(new URL('../../docs/', import.meta.url));

/** Objects of every fenced yaml block of a page, in order; one list a block. */
function examplesOf(page: string): readonly (readonly Example[])[] {
  const blocks = readFileSync(`${folder}${page}`, 'utf8').matchAll(/^```yaml\n(.*?)^```$/gms);
  return Array.from(blocks, ([, text = '']) =>
    parseAllDocuments(text).map((document) => {
      const [error] = document.errors;
      if (error !== undefined) throw new Error(`docs/${page}: ${error.message}`);
      return document.toJS() as Example;
    }),
  );
}

const pages = readdirSync(folder)
  .filter((name) => name.endsWith('.md'))
  .map((name) => ({ page: name, blocks: examplesOf(name) }))
  .filter(({ blocks }) => blocks.length > 0);

const key = ({ kind, metadata }: Example): string => `${kind} ${metadata.namespace ?? ''}/${metadata.name}`;
const podOf = ({ kind, metadata }: Example): string | undefined =>
  kind === 'Pod' ? `${metadata.namespace}/${metadata.name}` : undefined;

/** Namespaces and names of the pods that the objects mean to run. */
function podsOf(objects: readonly Example[]): readonly (readonly [namespace: string, name: string])[] {
  return objects.flatMap(({ kind, metadata, spec }) => {
    const { namespace = 'default', name } = metadata;
    if (kind === 'Pod') return [[namespace, name] as const];
    if (kind !== 'StatefulSet') return [];
    const { replicas = 1, ordinals = { start: 0 } } = spec ?? {};
    return Array.from({ length: replicas }, (_, at) => [namespace, `${name}-${at + ordinals.start}`] as const);
  });
}

/** Addresses that an example promises its pods, by `namespace/name`: static ones and reservations. */
function promised(objects: readonly Example[]): ReadonlyMap<string, readonly string[]> {
  const result = new Map<string, readonly string[]>();
  for (const object of objects) {
    const wanted = object.metadata.annotations?.['ovn.kubernetes.io/ip_address'];
    const pod = podOf(object);
    if (pod !== undefined && wanted !== undefined) result.set(pod, wanted.split(','));
    if (object.kind === 'IP' && object.spec?.podName !== undefined && object.spec.v4IpAddress !== undefined)
      result.set(`${object.spec.namespace}/${object.spec.podName}`, [object.spec.v4IpAddress]);
  }
  return result;
}

/** Checks the addresses of a running pod. */
async function has(lab: TestLab, namespace: string, name: string, ...addresses: readonly string[]): Promise<void> {
  expect(addressesOf(await lab.get<PodObject>('pod', name, '-n', namespace))).toEqual(addresses);
}

/** What pages say about their examples beyond that these become Ready; runs before the examples are deleted. */
const claims: Readonly<Record<string, (lab: TestLab) => Promise<void>>> = {
  'addresses.md': async (lab) => {
    await has(lab, 'aviary', 'clutch-1', '10.81.0.71', 'fd00:10:81::71');
    await has(lab, 'aviary', 'clutch-2', '10.81.0.72', 'fd00:10:81::72');
    expect(addressesOf(await lab.get<PodObject>('pod', 'snipe', '-n', 'marsh'))[0]).toMatch(/^10\.81\.2\./);
    expect(await lab.exec('aviary', 'dipper', 'ip', 'route')).toContain('192.168.102.0/24 via 10.81.0.1');
  },
  'ip-pool.md': async (lab) => {
    await has(lab, 'rookery', 'rook', '10.84.0.16', 'fd00:10:84::100');
    await has(lab, 'heronry', 'bittern', '10.85.0.128');
    expect(await lab.nbctl('--bare', '--columns=name', 'list', 'Address_Set')).toContain('ippool_rookery_front_ip6');
  },
  'attachments.md': async (lab) => {
    await answered(lab, 'estuary/knot', '10.87.0.2', 'fd00:10:87::2');
    expect(await lab.exec('estuary', 'knot', 'ip', 'address', 'show', 'dev', 'net1')).toContain('10.87.0.40/24');
    expect(await lab.exec('saltmarsh', 'redshank', 'ip', 'address', 'show', 'dev', 'net1')).toContain(
      '192.168.87.2/24',
    );
  },
  'bandwidth.md': async (lab) => {
    const rows = await lab.nbctl('qos-list', 'ovn-default');
    expect(rows).toContain('(inport == "salmon.rapids") rate=20000 burst=10000');
    expect(rows).toContain('(outport == "salmon.rapids") rate=50000 burst=25000');
  },
  'egress.md': async (lab) => {
    await answered(lab, 'coast/tern', '198.51.100.1', '2001:db8:ffff::1', '172.30.1.1', '172.30.1.2');
  },
  'isolation.md': async (lab) => {
    const [gull = '', magpie = ''] = await Promise.all(
      [
        ['gull', 'harbour'],
        ['magpie', 'treasury'],
      ].map(async ([name = '', ns = '']) => addressesOf(await lab.get<PodObject>('pod', name, '-n', ns))[0] ?? ''),
    );
    await answered(lab, 'treasury/magpie', gull);
    expect(await lab.pingMatrix(['harbour/gull'], [magpie], 700)).toHaveLength(1);
    await lab.onNode('node-1', 'ping', '-c1', '-W2', '-n', magpie);
  },
  'network-policy.md': async (lab) => {
    const [vault = ''] = addressesOf(await lab.get<PodObject>('pod', 'vault', '-n', 'bank'));
    const [desk = ''] = addressesOf(await lab.get<PodObject>('pod', 'desk', '-n', 'bank'));
    await lab.waitFor(
      'the desk reaches the vault, and nobody else anybody',
      async () => {
        const ask = { protocol: 'tcp', port: 8080, timeoutMs: 700 } as const;
        const answers = await lab.probe([
          { ...ask, from: 'bank/desk', destination: vault },
          { ...ask, from: 'bank/street', destination: vault },
          { ...ask, from: 'bank/vault', destination: desk },
        ]);
        const verdicts = answers.map(({ verdict }) => verdict).join(' ');
        return verdicts === 'open timeout timeout' || verdicts;
      },
      15_000,
    );
    await printsRules(lab, 'network-policy.md', 'bank', 'vault');
  },
  'acl-order.md': async (lab) => {
    await printsRules(lab, 'acl-order.md', 'loft', 'pigeon');
  },
  'acl-log.md': async (lab) => {
    const [badger = ''] = addressesOf(await lab.get<PodObject>('pod', 'badger', '-n', 'burrow'));
    await lab.nbctl('--wait=hv', 'sync');
    await lab.probe([{ from: 'burrow/fox', protocol: 'tcp', destination: badger, port: 8080, timeoutMs: 500 }]);
    const cli = fileURLToPath(new URL('../../cli/src/main.ts', import.meta.url));
    const page = readFileSync(`${folder}acl-log.md`, 'utf8');
    // Times and ports differ.
    const shape = (text: string): string =>
      text
        .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, 'TIME')
        .replaceAll(/:\d{5}\b/g, ':PORT')
        .replaceAll(/ +/g, ' ');
    const printed = shape(/^\$ ovenbird acl-log -n burrow badger\n(.*?)^```$/ms.exec(page)?.[1] ?? '');
    await lab.waitFor(
      'the log has what the page shows',
      async () => {
        const env = { OVENBIRD_LAB: lab.state.directory };
        const listed = shape(await run([process.execPath, cli, 'acl-log', '-n', 'burrow', 'badger'], { env }));
        return new Set(listed.split('\n')).has(printed.split('\n')[1] ?? '') || listed;
      },
      10_000,
    );
  },
  'security-groups.md': async (lab) => {
    const ask = { protocol: 'tcp', port: 8080, timeoutMs: 700 } as const;
    const [sack = ''] = addressesOf(await lab.get<PodObject>('pod', 'sack', '-n', 'granary'));
    const [mouse = ''] = addressesOf(await lab.get<PodObject>('pod', 'mouse', '-n', 'granary'));
    await lab.waitFor(
      'the mouse reaches the sack, and nobody else anybody in a group',
      async () => {
        const answers = await lab.probe([
          { ...ask, from: 'granary/mouse', destination: sack },
          { ...ask, from: 'granary/cat', destination: sack },
          { ...ask, from: 'granary/cat', destination: mouse },
        ]);
        const verdicts = answers.map(({ verdict }) => verdict).join(' ');
        return verdicts === 'open timeout timeout' || verdicts;
      },
      15_000,
    );
    await printsRules(lab, 'security-groups.md', 'granary', 'sack');
  },
  'dhcp.md': async (lab) => {
    const own = await lab.nbctl(
      '--columns=cidr,options,external_ids',
      'find',
      'DHCP_Options',
      'external_ids:ovenbird/owner=Pod/marina/dinghy',
    );
    const page = readFileSync(`${folder}dhcp.md`, 'utf8');
    expect(own).toBe(/^\$ ovn-nbctl --columns=cidr.*?\n(.*?)^```$/ms.exec(page)?.[1]);
  },
  'qos.md': async (lab) => {
    const listed = await lab.waitFor(
      'rows of the policies',
      async () =>
        ((text) => (text.includes('qos_delta_backup') ? { text } : text))(await lab.nbctl('qos-list', 'ovn-default')),
      10_000,
    );
    const page = readFileSync(`${folder}qos.md`, 'utf8');
    expect(listed.text).toBe(/^\$ ovn-nbctl qos-list ovn-default\n(.*?)^```$/ms.exec(page)?.[1]);
  },
  'vip.md': async (lab) => {
    const parents = await lab.nbctl('get', 'Logical_Switch_Port', 'vip_lead', 'options:virtual-parents');
    expect(parents.trim()).toBe('"gander.flock,goose.flock"');
  },
  'names.md': async (lab) => {
    const pairs = readFileSync(`${folder}names.md`, 'utf8').matchAll(/^\| [^|]+ \| (\w+).* \| `([^`|]+)` \|$/gm);
    const names = Array.from(pairs, ([, table = '', name = '']) => ({ table, name }));
    expect(names.length).toBeGreaterThan(7);
    for (const { table, name } of names.filter((found) => /^[A-Z]\w*_\w+$/.test(found.table)))
      expect(await lab.nbctl('--bare', '--columns=name', 'find', table, `name="${name}"`), table).toContain(name);
  },
};

/** `ovenbird acls` prints for a pod what the page shows. */
async function printsRules(lab: TestLab, page: string, namespace: string, pod: string): Promise<void> {
  const cli = fileURLToPath(new URL('../../cli/src/main.ts', import.meta.url));
  const env = { OVENBIRD_LAB: lab.state.directory };
  const listed = await run([process.execPath, cli, 'acls', '-n', namespace, pod], { env });
  const text = readFileSync(`${folder}${page}`, 'utf8');
  const printed = new RegExp(`^\\$ ovenbird acls -n ${namespace} ${pod}\\n(.*?)^\`\`\`$`, 'ms').exec(text)?.[1] ?? '';
  expect(listed).toBe(printed);
}

/** Every destination answers the pod's ping, at the latest when all flows are there. */
async function answered(lab: TestLab, pod: string, ...destinations: readonly string[]): Promise<void> {
  await lab.waitFor(
    `${pod} reaches ${destinations.join(' ')}`,
    async () => (await lab.pingMatrix([pod], destinations)).join('\n') || true,
    15_000,
  );
}

/** The examples of the documentation work as they are printed: each is applied, does what it says, and goes away again. */
describe('examples of the documentation', () => {
  let lab: TestLab;
  beforeAll(async () => {
    lab = await openLab();
  });
  const created: Example[] = [];
  const remove = async (): Promise<void> => {
    // Namespaces first, so that the pods in them do not hold up the subnets; a deleted subnet waits for its last pod.
    const order = [
      'Namespace',
      'Pod',
      'StatefulSet',
      'IP',
      'IPPool',
      'Vip',
      'QoSPolicy',
      'SecurityGroup',
      'Subnet',
      'Vpc',
    ];
    const objects = created.splice(0).sort((a, b) => order.indexOf(a.kind) - order.indexOf(b.kind));
    if (objects.length > 0) await lab.delete(objects, '--wait=true', '--timeout=60s');
  };
  afterAll(remove);

  it('are on every page about a feature', () => {
    const names = pages.map(({ page }) => page);
    for (const page of [
      'acl-log',
      'acl-order',
      'addresses',
      'attachments',
      'bandwidth',
      'dhcp',
      'egress',
      'ip',
      'ip-pool',
      'isolation',
      'names',
      'network-policy',
      'qos',
      'security-groups',
      'subnet',
      'vip',
      'vpc',
    ])
      expect(names).toContain(`${page}.md`);
  });

  it.each(pages)('$page', async ({ page, blocks }) => {
    for (const objects of blocks) {
      created.push(...objects);
      await lab.apply(...objects);
      const networks = objects.filter(({ kind, apiVersion }) => apiVersion === 'ovenbird.io/v1' && kind !== 'IP');
      if (networks.length > 0) {
        const names = networks.map(({ kind, metadata }) => `${kind}/${metadata.name}`);
        await lab.kubectl(['wait', '--for=condition=Ready', '--timeout=20s', ...names]);
      }
      const pods = podsOf(objects);
      for (const [namespace, name] of pods)
        await lab.waitFor(
          `pod ${namespace}/${name} exists`,
          async () => (await lab.kubectlAny(['get', 'pod', name, '-n', namespace])).code === 0 || 'not yet',
          20_000,
        );
      for (const namespace of new Set(pods.map(([found]) => found)))
        await lab.podsReady(namespace, 30, ...pods.flatMap(([found, name]) => (found === namespace ? [name] : [])));
    }
    const objects = blocks.flat();
    expect(new Set(objects.map(key)).size, 'two examples of the page share a name').toBe(objects.length);
    const promises = promised(objects);
    for (const [namespace, name] of podsOf(objects)) {
      const addresses = promises.get(`${namespace}/${name}`) ?? [];
      const pod = await lab.get<PodObject>('pod', name, '-n', namespace);
      expect(addressesOf(pod), `${namespace}/${name}`).toEqual(expect.arrayContaining([...addresses]));
    }
    await claims[page]?.(lab);
    await remove();
  });
});
