import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  accepts,
  down,
  isUp,
  type LabOptions,
  layoutOf,
  liveProcess,
  managerOf,
  ownNamespaces,
  processesOf,
  requireState,
  run,
  startProcess,
  up,
  waitFor,
} from '@ovenbird/deploy';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

const options: LabOptions = { nodes: 2, dualStack: true, fabricOnly: true, keepState: false, without: [] };
const silent = (): void => undefined;
let directory: string;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'ovenbird-fabric-'));
});

afterAll(async () => {
  await down(directory, silent, false);
  rmSync(directory, { recursive: true, force: true });
});

async function pings(address: string): Promise<true | string> {
  const namespace = requireState(directory).nodes[0]?.namespace;
  try {
    await run(['ping', '-c', '1', '-W', '1', address], { namespace });
    return true;
  } catch (error) {
    return String(error);
  }
}

describe('a fabric-only lab', () => {
  test('two commands at once make one lab', async () => {
    const lines: string[] = [];
    const [one, two] = await Promise.all([
      up(directory, options, (line) => lines.push(line)),
      up(directory, options, (line) => lines.push(line)),
    ]);
    expect(one).toEqual(two);
    expect(lines.filter((line) => line.includes('runs already'))).toHaveLength(1);
    expect(lines.filter((line) => line.includes('every node is a chassis'))).toHaveLength(1);
  });

  test('all its processes run, each in its namespace', () => {
    const manager = managerOf(directory);
    const states = processesOf(requireState(directory)).map((spec) => [spec.name, manager.state(spec.name)]);
    expect(states.filter(([, state]) => state !== 'running')).toEqual([]);
    expect(states).toHaveLength(9);
  });

  test('a lab with other options is refused while it runs', async () => {
    await expect(up(directory, { ...options, nodes: 3 }, silent)).rejects.toThrow('a lab with other options runs');
  });

  test.each(['172.30.1.2', 'fd00:172:30::1:2', '172.30.0.1', '198.51.100.1', '2001:db8:ffff::1'])(
    'node-1 reaches %s',
    async (address) => {
      await waitFor(`ping ${address}`, () => pings(address), { deadline: 10_000 });
    },
  );

  test('only the bridge answers for the address of a node, not the NIC below it', async () => {
    const [first] = requireState(directory).nodes;
    const { fabric } = requireState(directory).namespaces;
    await run(['ip', 'neigh', 'flush', 'all'], { namespace: fabric });
    await run(['ping', '-c', '1', '-W', '2', '172.30.1.1'], { namespace: fabric });
    const neighbour = await run(['ip', 'neigh', 'show', '172.30.1.1'], { namespace: fabric });
    expect(neighbour).toContain(`lladdr ${first?.addresses.mac}`);
  });

  test('a killed vswitchd takes its monitor along and comes back with the addresses', async () => {
    const manager = managerOf(directory);
    await manager.kill('node-1.vswitchd', 'SIGKILL');
    expect(manager.state('node-1.vswitchd')).toBe('dead');
    await startProcess(directory, 'node-1.vswitchd');
    await waitFor('ping after the restart', () => pings('172.30.1.2'), { deadline: 15_000 });
  });

  test('a crashed vswitchd is started again by its monitor, and stop ends both', async () => {
    const manager = managerOf(directory);
    const before = manager.worker('node-2.vswitchd')?.pid;
    await manager.kill('node-2.vswitchd', 'SIGABRT');
    const { run: runDirectory } = layoutOf(directory).node('node-2');
    const look = async (): Promise<number | string> => {
      const pid = manager.worker('node-2.vswitchd')?.pid;
      if (pid === undefined || pid === before) return `worker ${pid}`;
      const serves = await accepts({ path: join(runDirectory, `ovs-vswitchd.${pid}.ctl`) });
      return serves ? pid : `worker ${pid} does not serve`;
    };
    const after = await waitFor('another worker', look, { deadline: 15_000 });
    expect(manager.state('node-2.vswitchd')).toBe('running');
    await manager.stop('node-2.vswitchd');
    // Its entry may stay as a zombie until init, which inherits it from a killed monitor, has looked.
    expect(liveProcess(after)).toBeUndefined();
  });

  test('what a dead lab left is removed by the next start', async () => {
    const manager = managerOf(directory);
    const { nodes } = requireState(directory);
    for (const name of ['northd', 'node-1.ovsdb', 'ovnsb']) await manager.kill(name, 'SIGKILL');
    await run(['ip', 'netns', 'delete', nodes[1]?.namespace ?? '']);
    await down(directory, silent, true);
    expect(ownNamespaces(directory)).toEqual([]);
    expect(existsSync(layoutOf(directory).central.northboundFile)).toBe(true);
    await up(directory, { ...options, keepState: true }, silent);
    expect(isUp(directory)).toBe(true);
  });

  test('northbound rows survive down and up on request', async () => {
    const db = `--db=unix:${layoutOf(directory).central.northbound}`;
    await run(['ovn-nbctl', db, 'ls-add', 'kept']);
    await down(directory, silent);
    await up(directory, { ...options, keepState: true }, silent);
    expect(await run(['ovn-nbctl', db, '--bare', '--columns=name', 'list', 'Logical_Switch'])).toBe('kept\n');
  });

  test('down removes everything', async () => {
    const records = managerOf(directory).records.all();
    await down(directory, silent, false);
    expect(ownNamespaces(directory)).toEqual([]);
    expect(existsSync(directory)).toBe(false);
    expect(records.filter((record) => existsSync(`/proc/${record.pid}`))).toEqual([]);
  });
});
