/**
 * The reference of `npm run bench -- cni`: the least that a CNI server can do. For each request one `ip -batch` and one
 * `ovs-vsctl add-port`, then it waits for `ovn-installed`, by an event. Says `ready`, and ends with its standard input.
 *
 * `node reference-server.ts SOCKET NODE-NETNS OVSDB-SOCKET`; request body: arguments of {@link addPort}, as JSON.
 */
import { spawn } from 'node:child_process';
import { createServer } from 'node:http';
import { text } from 'node:stream/consumers';
import { InstalledInterfaces } from './interfaces.ts';

/** What a request names. */
interface AddRequest {
  readonly link: string;
  readonly nodeBatch: string;
  readonly ifaceId: string;
  readonly uid: string;
}

const [socket = '', node = '', ovsdb = ''] = process.argv.slice(2);
process.stdin.resume().once('end', () => process.exit());
const interfaces = await InstalledInterfaces.open(ovsdb, new AbortController().signal);

function run(file: string, ...args: readonly string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { stdio: ['ignore', 'ignore', 'inherit'] });
    child.once('error', reject);
    child.once('close', (code) => (code === 0 ? resolve() : reject(new Error(`${file}: exit ${String(code)}`))));
  });
}

async function addPort({ link, nodeBatch, ifaceId, uid }: AddRequest): Promise<void> {
  await run('ip', '-n', node, '-batch', nodeBatch);
  const ids = [`external_ids:iface-id=${ifaceId}`, `external_ids:iface-id-ver=${uid}`];
  await run('ovs-vsctl', `--db=unix:${ovsdb}`, 'add-port', 'br-int', link, '--', 'set', 'Interface', link, ...ids);
  await interfaces.installed(link);
}

const server = createServer((request, response) => {
  text(request)
    .then((body) => addPort(JSON.parse(body) as AddRequest))
    .then(
      () => response.end('{}'),
      (error: unknown) => response.writeHead(500).end(String(error)),
    );
});
server.listen({ path: socket, backlog: 1024 }, () => process.stdout.write('ready\n'));
