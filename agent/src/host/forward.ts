import { z } from 'zod';
import { openLegacyForwarding } from './forward-legacy.ts';
import { HOST_PORT } from './ovn0.ts';
import { run, runRaw } from './run.ts';

/** A chain of somebody else that drops forwarded packets unless a rule accepts them. */
export interface DroppingChain {
  /** nftables family: ip, ip6, inet. */
  readonly family: string;
  readonly table: string;
  readonly name: string;
}

const COMMENT = 'ovenbird';
const chainList = z.object({
  nftables: z.array(
    z.looseObject({
      chain: z
        .looseObject({
          family: z.string(),
          table: z.string(),
          name: z.string(),
          hook: z.string().optional(),
          policy: z.string().optional(),
        })
        .optional(),
      rule: z.looseObject({ comment: z.string().optional() }).optional(),
    }),
  ),
});

/**
 * Finds forward chains with policy drop in the output of `nft -j list chains`. Docker sets that policy on iptables'
 * FORWARD chain; an accept in another table does not help against it (nft(8): a drop is final).
 */
export function droppingChains(listing: string): readonly DroppingChain[] {
  return chainList
    .parse(JSON.parse(listing))
    .nftables.flatMap(({ chain }) =>
      chain?.hook === 'forward' && chain.policy === 'drop' && ['ip', 'ip6', 'inet'].includes(chain.family)
        ? [{ family: chain.family, table: chain.table, name: chain.name }]
        : [],
    );
}

/** Whether the agent may add rules there: iptables' own FORWARD chain, where Kubernetes components always have. */
export function isIptablesForward(chain: DroppingChain): boolean {
  return chain.family !== 'inet' && chain.table === 'filter' && chain.name === 'FORWARD';
}

const path = (chain: DroppingChain): readonly string[] => [chain.family, chain.table, chain.name];

/** What somebody has to run for pods to reach the world through a chain. */
export function acceptCommands(chain: DroppingChain): readonly string[] {
  return ['iifname', 'oifname'].map(
    (direction) =>
      `insert rule ${path(chain).join(' ')} ${direction} "${HOST_PORT}" counter accept comment "${COMMENT}"`,
  );
}

/** Outcome of {@link openForwarding}. */
export interface ForwardingReport {
  /** Chains that now have our accept rules (some had them before). */
  readonly opened: readonly string[];
  /** Firewalls we do not write to: their owner must let `ovn0` through. */
  readonly blocking: readonly string[];
}

/**
 * Lets forwarded traffic of `ovn0` through iptables' FORWARD chain where its policy is drop, and reports other firewalls
 * that will drop it.
 * @throws AgentError `host-command`
 */
export async function openForwarding(): Promise<ForwardingReport> {
  const legacy = await openLegacyForwarding();
  const opened = [...legacy.opened];
  const blocking = [...legacy.blocking];
  for (const chain of droppingChains(await run('nft', ['-j', 'list', 'chains']))) {
    if (isIptablesForward(chain)) {
      const listing = chainList.parse(JSON.parse(await run('nft', ['-j', 'list', 'chain', ...path(chain)])));
      const ours = listing.nftables.filter(({ rule }) => rule?.comment === COMMENT).length;
      if (ours < 2) await run('nft', ['-f', '-'], { input: `${acceptCommands(chain).join('\n')}\n` });
      opened.push(`nftables chain ${path(chain).join(' ')}`);
    } else {
      blocking.push(
        `nftables chain ${path(chain).join(' ')} has policy drop; let ${HOST_PORT} through: nft '${acceptCommands(chain).join('; ')}'`,
      );
    }
  }
  // firewalld ends its forward chain with a reject instead of a policy.
  if ((await runRaw('nft', ['list', 'chain', 'inet', 'firewalld', 'filter_FORWARD'])).status === 0) {
    blocking.push(
      `firewalld is active; let ${HOST_PORT} through: firewall-cmd --permanent --zone=trusted --add-interface=${HOST_PORT} && firewall-cmd --reload`,
    );
  }
  return { opened, blocking };
}
