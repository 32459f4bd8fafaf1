import { execFileSync, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { PodServer } from '../../../deploy/lab/src/kubelet/pod-server.ts';
import { type Probe, probeAll } from '../../../deploy/lab/src/kubelet/prober.ts';

const prefix = `wlt${process.pid.toString(36)}`;
const [client, pod] = [`${prefix}-client`, `${prefix}-pod`];

/** Two namespaces joined by a veth; the pod has two addresses per family, to see which one answers. */
const TOPOLOGY = `
link add c0 netns ${client} type veth peer name p0 netns ${pod}
`;

function ip(...words: string[]): void {
  execFileSync('ip', words);
}

let server: PodServer;

beforeAll(async () => {
  server = new PodServer((text) => process.stderr.write(text));
  await server.addNetns(client);
  await server.addNetns(pod);
  execFileSync('ip', ['-batch', '-'], { input: TOPOLOGY });
  for (const [ns, link, addresses] of [
    [client, 'c0', ['192.0.2.1/24', '2001:db8::1/64']],
    [pod, 'p0', ['192.0.2.2/24', '192.0.2.3/24', '2001:db8::2/64', '2001:db8::3/64']],
  ] as const) {
    ip('-n', ns, 'link', 'set', link, 'up');
    for (const address of addresses) {
      ip('-n', ns, 'addr', 'add', address, 'dev', link, ...(address.includes(':') ? ['nodad'] : []));
    }
  }
});

afterAll(async () => {
  await server.deleteNetns(client);
  await server.deleteNetns(pod);
  await server.stop();
});

const netns = `/run/netns/${pod}`;
const all = [
  { protocol: 'tcp', port: 80 },
  { protocol: 'udp', port: 53 },
  { protocol: 'sctp', port: 99 },
] as const;

describe('pod server and prober', () => {
  test('answers TCP, UDP and SCTP on both families from the address that was asked', async () => {
    await server.open('a', netns, 'web-0', all);
    const destinations = ['192.0.2.2', '192.0.2.3', '2001:db8::2', '2001:db8::3'];
    const probes = destinations.flatMap((destination): Probe[] => [
      ...all.map((port) => ({ netns: client, destination, ...port })),
      { netns: client, protocol: 'icmp', destination },
    ]);
    const results = await probeAll(probes);
    const seen = results.map(({ verdict, text }, index) => `${probes[index]?.protocol} ${verdict} ${text}`.trim());
    expect(seen).toEqual(destinations.flatMap(() => ['tcp open web-0', 'udp open web-0', 'sctp open', 'icmp open']));
    await server.close('a');
  });

  test('tells closed, silent and unreachable apart', async () => {
    await server.open('a', netns, 'web-0', all);
    const results = await probeAll([
      { netns: client, protocol: 'tcp', destination: '192.0.2.2', port: 81 },
      { netns: client, protocol: 'udp', destination: '2001:db8::2', port: 54 },
      { netns: client, protocol: 'sctp', destination: '192.0.2.2', port: 98 },
      { netns: pod, protocol: 'sctp', destination: '192.0.2.1', port: 99 },
      { netns: pod, protocol: 'sctp', destination: '2001:db8::1', port: 99 },
      { netns: client, protocol: 'icmp', destination: '192.0.2.99', timeoutMs: 300 },
      { netns: client, protocol: 'tcp', destination: '198.51.100.1', port: 80 },
      { netns: `${prefix}-none`, protocol: 'tcp', destination: '192.0.2.2', port: 80 },
    ]);
    expect(results.map(({ verdict }) => verdict)).toEqual([
      'closed',
      'closed',
      'closed',
      'closed',
      'closed',
      'timeout',
      'unreachable',
      'unreachable',
    ]);
    expect(results[6]?.text).toBe('ENETUNREACH');
    expect(results[7]?.text).toContain('cannot open network namespace');
    await server.close('a');
    const [after] = await probeAll([{ netns: client, protocol: 'tcp', destination: '192.0.2.2', port: 80 }]);
    expect(after?.verdict).toBe('closed');
  });

  test('speaks HTTP to curl and plain text to a silent client', async () => {
    await server.open('a', netns, 'web-0', all);
    const inClient = (...words: string[]): string =>
      execFileSync('nsenter', [`--net=/run/netns/${client}`, '--', ...words], { encoding: 'utf8' });
    expect(inClient('curl', '-sS', '-m5', 'http://[2001:db8::3]:80/x')).toBe('web-0\n');
    expect(inClient('curl', '-sSI', '-m5', 'http://192.0.2.2/')).toContain('Content-Length: 6');
    expect(inClient('bash', '-c', 'exec 3<>/dev/tcp/192.0.2.2/80; cat <&3')).toBe('web-0\n');
    expect(inClient('bash', '-c', 'exec 3<>/dev/tcp/192.0.2.2/80; echo hello >&3; cat <&3')).toBe('web-0\n');
    await server.close('a');
  });

  test('a taken port leaves nothing half open', async () => {
    await server.open('a', netns, 'web-0', all);
    const clash = server.open('b', netns, 'web-1', [
      { protocol: 'tcp', port: 8080 },
      { protocol: 'tcp', port: 80 },
    ]);
    await expect(clash).rejects.toThrow(/open: cannot bind port 80: Address already in use/);
    const [result] = await probeAll([{ netns: client, protocol: 'tcp', destination: '192.0.2.2', port: 8080 }]);
    expect(result?.verdict).toBe('closed');
    await server.close('a');
  });

  test('two pods in one namespace share the SCTP port space', async () => {
    await server.open('a', netns, 'web-0', [{ protocol: 'sctp', port: 1 }]);
    await server.open('b', netns, 'web-1', [{ protocol: 'sctp', port: 2 }]);
    const ports = [1, 2, 3];
    const results = await probeAll(
      ports.map((port) => ({ netns: client, protocol: 'sctp', destination: '192.0.2.2', port })),
    );
    expect(results.map(({ verdict }) => verdict)).toEqual(['open', 'open', 'closed']);
    await server.close('a');
    await server.close('b');
  });

  test('namespaces: a taken name is refused, removal is idempotent, words are checked', async () => {
    await expect(server.addNetns(pod)).rejects.toThrow(/File exists/);
    const name = `${prefix}-x`;
    await server.addNetns(name);
    expect(existsSync(`/run/netns/${name}`)).toBe(true);
    expect(execFileSync('ip', ['-n', name, '-br', 'link', 'show', 'lo'], { encoding: 'utf8' })).toContain(
      'LOOPBACK,UP',
    );
    await server.deleteNetns(name);
    await server.deleteNetns(name);
    expect(existsSync(`/run/netns/${name}`)).toBe(false);
    await expect(server.addNetns('two words')).rejects.toThrow(/not a word/);
  });

  test("waits for the end of a process that may be anybody's", async () => {
    const child = spawn('cat', { stdio: ['pipe', 'ignore', 'ignore'] });
    const pid = child.pid ?? 0;
    let over = false;
    const waited = server.waitPid(pid).then(() => (over = true));
    await server.close('absent'); // a later request is answered first
    expect(over).toBe(false);
    child.stdin.end();
    await waited;
  });

  test('a killed process comes back with what it had open', async () => {
    await server.open('a', netns, 'web-0', all);
    const pids = execFileSync('pgrep', ['-P', String(process.pid), 'perl'], { encoding: 'utf8' })
      .trim()
      .split('\n');
    expect(pids).toHaveLength(1);
    process.kill(Number(pids[0]), 'SIGKILL');
    const deadline = performance.now() + 10_000;
    let text = '';
    while (text !== 'web-0' && performance.now() < deadline) {
      const [seen] = await probeAll([{ netns: client, protocol: 'tcp', destination: '192.0.2.2', port: 80 }]);
      text = seen?.text ?? '';
    }
    expect(text).toBe('web-0');
    await server.close('a');
  });

  test('300 probes at once', async () => {
    await server.open('a', netns, 'web-0', all);
    const probes = Array.from(
      { length: 300 },
      (): Probe => ({
        netns: client,
        protocol: 'tcp',
        destination: '192.0.2.2',
        port: 80,
        timeoutMs: 10_000,
      }),
    );
    const results = await probeAll(probes);
    expect(results.filter(({ text }) => text === 'web-0')).toHaveLength(300);
    await server.close('a');
  });
});
