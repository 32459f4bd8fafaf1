import { isIPv4 } from 'node:net';
import type { Logger } from 'pino';
import type { HostNetworks } from '../networks.ts';
import { HOST_PORT } from './ovn0.ts';
import { run, runRaw } from './run.ts';

/** The agent's only nftables table, family `inet`. */
const NAT_TABLE = 'ovenbird';

const family = (cidrs: readonly string[], version: 4 | 6): readonly string[] =>
  cidrs.filter((cidr) => isIPv4(cidr.split('/')[0] ?? '') === (version === 4));

function set(name: string, version: 4 | 6, cidrs: readonly string[]): string {
  const elements = family(cidrs, version);
  // An empty `elements = { }` is a syntax error; auto-merge because a subnet may lie inside another entry.
  const list = elements.length === 0 ? '' : ` elements = { ${elements.join(', ')} };`;
  return `  set ${name} { type ipv${version}_addr; flags interval; auto-merge;${list} }`;
}

/**
 * The input of `nft -f -` that replaces the table as one transaction: there is no moment without masquerade.
 * Masqueraded is what pods of `natOutgoing` subnets send out of the cluster, that is by another link than `ovn0` and to
 * none of the cluster's own networks. Traffic to this node's addresses never leaves it; traffic to other nodes is
 * masqueraded, because their reply, and their or the cloud's source checks, know nothing of pod addresses.
 * So is what another node sent to a published port of this one (`hostPort`): a pod answers a node through the overlay,
 * straight to it, past the translation that was made here. Clients outside of the cluster keep their address: the answer to
 * them leaves by this node anyway. What pods send to published ports OVN translates where they are.
 * @param serviceCidrs Service addresses
 */
export function natRuleset(networks: HostNetworks, serviceCidrs: readonly string[]): string {
  const internal = [...new Set([...networks.cidrs, ...serviceCidrs])];
  return [
    `table inet ${NAT_TABLE}`,
    `delete table inet ${NAT_TABLE}`,
    `table inet ${NAT_TABLE} {`,
    set('nat4', 4, networks.natOutgoing),
    set('nat6', 6, networks.natOutgoing),
    set('internal4', 4, internal),
    set('internal6', 6, internal),
    set('nodes4', 4, networks.nodes),
    set('nodes6', 6, networks.nodes),
    '  chain postrouting {',
    '    type nat hook postrouting priority srcnat; policy accept;',
    `    oifname "${HOST_PORT}" ct status dnat ip saddr @nodes4 counter masquerade`,
    `    oifname "${HOST_PORT}" ct status dnat ip6 saddr @nodes6 counter masquerade`,
    `    oifname "${HOST_PORT}" return`,
    '    ip saddr @nat4 ip daddr != @internal4 counter masquerade',
    '    ip6 saddr @nat6 ip6 daddr != @internal6 counter masquerade',
    '  }',
    '}',
    '',
  ].join('\n');
}

/**
 * Whether a line of `nft monitor` is about something in the table: `delete element inet ovenbird nat4 { 10.16.0.0/16 }`,
 * `insert rule inet ovenbird postrouting return`.
 */
export function concernsNat(line: string): boolean {
  const [, , family, table] = line.split(' ', 4);
  return family === 'inet' && table === NAT_TABLE;
}

/** Replaces the table. @throws AgentError `host-command` */
async function applyNat(ruleset: string): Promise<void> {
  await run('nft', ['-f', '-'], { input: ruleset });
}

/** The table as nftables shows it, without counters; undefined when it is not there (a foreign `flush ruleset`). */
async function listNat(): Promise<string | undefined> {
  const { status, stdout } = await runRaw('nft', ['-s', 'list', 'table', 'inet', NAT_TABLE]);
  return status === 0 ? stdout : undefined;
}

/** Keeps the masquerade rules as they should be. */
export class Masquerade {
  readonly #log: Pick<Logger, 'info' | 'warn'>;
  /** The ruleset that was applied, and what nftables made of it. */
  #written: { readonly ruleset: string; readonly listed: string | undefined } | undefined;

  constructor(log: Pick<Logger, 'info' | 'warn'>) {
    this.#log = log;
  }

  /** Writes the rules where they are others, or somebody changed them. @throws AgentError `host-command` */
  async follow(ruleset: string): Promise<void> {
    const listed = await listNat();
    if (ruleset === this.#written?.ruleset && listed !== undefined && listed === this.#written.listed) return;
    await applyNat(ruleset);
    if (ruleset === this.#written?.ruleset)
      this.#log.warn('somebody changed the nftables table inet ovenbird: written anew');
    else this.#log.info('masquerade rules written');
    this.#written = { ruleset, listed: await listNat() };
  }
}
