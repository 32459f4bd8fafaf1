import {
  cidrContains,
  cidrRange,
  firstUsable,
  ipFamily,
  ipToBigint,
  isIpamOnly,
  parseCidr,
  splitDual,
  splitDualCidr,
} from '@ovenbird/crds';
import { olderFirst } from '../store/by-age.ts';
import type { FamilyNet, Subnet, UsableSubnet } from '../store/model.ts';
import { matchProblem } from './match-syntax.ts';

/** Whether a Subnet may be used, and the text of its `Ready` condition. */
export interface SubnetVerdict {
  readonly usable?: UsableSubnet;
  /** False when the spec as written is not (wholly) in force. */
  readonly ok: boolean;
  readonly reason:
    | 'Usable'
    | 'VpcMissing'
    | 'NameTaken'
    | 'Overlap'
    | 'Invalid'
    | 'InUse'
    | 'GatewayTaken'
    | 'InvalidAcl';
  readonly message: string;
}

/** What is in force (in the northbound database) for a subnet. */
export interface LiveSubnet {
  readonly vpc: string;
  /** `v4[,v6]`, as in the spec; the same families in `gateway`. */
  readonly cidr: string;
  readonly gateway: string;
}

export interface VerdictInput {
  readonly subnets: readonly Subnet[];
  /** Creation time by name. */
  readonly vpcs: ReadonlyMap<string, string>;
  readonly defaultVpc: string;
  /** Service CIDRs: taken in the default VPC. */
  readonly serviceCidrs: readonly string[];
  /** Node name and address: taken in the default VPC. */
  readonly nodeAddresses: readonly (readonly [node: string, address: string])[];
  /** What is in force already, by subnet name: it stays in force over a later conflict. */
  readonly live: ReadonlyMap<string, LiveSubnet>;
  /** Whether somebody holds an address of the subnet. */
  readonly inUse: (subnet: string) => boolean;
  /** Who holds this address of the subnet. */
  readonly holder: (subnet: string, address: string) => string | undefined;
}

interface Claim {
  readonly first: bigint;
  readonly last: bigint;
  readonly holder: string;
}

/** Disjoint address ranges of one VPC and family, sorted, so that a check is a binary search. */
class Claims {
  readonly #claims: Claim[] = [];

  conflict(first: bigint, last: bigint, holder: string): Claim | undefined {
    let index = this.#position(first);
    if (index > 0) index -= 1;
    for (; index < this.#claims.length; index += 1) {
      const claim = this.#claims[index];
      if (claim === undefined || claim.first > last) return undefined;
      if (claim.last >= first && claim.holder !== holder) return claim;
    }
    return undefined;
  }

  add(claim: Claim): void {
    // A subnet that grew replaces what it claimed before.
    const old = this.#claims.findIndex(
      (other) => other.holder === claim.holder && other.first <= claim.last && other.last >= claim.first,
    );
    if (old >= 0) this.#claims.splice(old, 1);
    this.#claims.splice(this.#position(claim.first), 0, claim);
  }

  #position(first: bigint): number {
    let low = 0;
    let high = this.#claims.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const claim = this.#claims[middle];
      if (claim !== undefined && claim.first < first) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

interface Nets {
  readonly v4?: FamilyNet;
  readonly v6?: FamilyNet;
}

/** @throws AddressError when a CIDR or gateway is malformed (the API server's rules refuse that; a direct write may not). */
function netsOf(cidrBlock: string, gateway: string): Nets {
  const cidrs = splitDualCidr(cidrBlock);
  const gateways = gateway === '' ? {} : splitDual(gateway);
  const net = (cidr: string, wanted: string | undefined): FamilyNet => ({
    cidr,
    gateway: wanted ?? firstUsable(cidr),
    prefix: Number(cidr.slice(cidr.indexOf('/') + 1)),
  });
  return {
    ...(cidrs.v4 === undefined ? {} : { v4: net(cidrs.v4, gateways.v4) }),
    ...(cidrs.v6 === undefined ? {} : { v6: net(cidrs.v6, gateways.v6) }),
  };
}

/**
 * Judges all Subnets together: what is in force stays in force, then the older wins (design §3, "Who may use what").
 * Pure; the cost is that of sorting.
 */
export function judgeSubnets(input: VerdictInput): ReadonlyMap<string, SubnetVerdict> {
  const claims = new Map<string, Claims>();
  const claimsOf = (vpc: string, family: 4 | 6): Claims => {
    const key = `${vpc}/${family}`;
    const found = claims.get(key) ?? new Claims();
    claims.set(key, found);
    return found;
  };
  for (const cidr of input.serviceCidrs) {
    const { first, last } = cidrRange(parseCidr(cidr));
    claimsOf(input.defaultVpc, ipFamily(cidr)).add({ first, last, holder: `the Service CIDR ${cidr}` });
  }
  for (const [node, address] of input.nodeAddresses) {
    const value = ipToBigint(address);
    claimsOf(input.defaultVpc, ipFamily(address)).add({
      first: value,
      last: value,
      holder: `node "${node}" (${address})`,
    });
  }
  const byAge = [...input.subnets].sort(olderFirst);
  const holderOf = (subnet: Subnet): string => `subnet "${subnet.name}"`;
  // Addresses that another plugin puts on its own links meet nothing of a Vpc.
  const domainOf = ({ vpc, provider }: Subnet): string => (isIpamOnly(provider) ? `provider ${provider}` : vpc);
  const conflictOf = (subnet: Subnet, nets: Nets): string | undefined => {
    for (const net of [nets.v4, nets.v6]) {
      if (net === undefined) continue;
      const { first, last } = cidrRange(parseCidr(net.cidr));
      const conflict = claimsOf(domainOf(subnet), ipFamily(net.cidr)).conflict(first, last, holderOf(subnet));
      if (conflict !== undefined) return `${net.cidr} overlaps ${conflict.holder}`;
    }
    return undefined;
  };
  const claim = (subnet: Subnet, nets: Nets): void => {
    for (const net of [nets.v4, nets.v6]) {
      if (net === undefined) continue;
      const { first, last } = cidrRange(parseCidr(net.cidr));
      claimsOf(domainOf(subnet), ipFamily(net.cidr)).add({ first, last, holder: holderOf(subnet) });
    }
  };
  const inForce = new Map<string, Nets>();
  for (const subnet of byAge) {
    const live = input.live.get(subnet.name);
    if (live === undefined) continue;
    try {
      const nets = netsOf(live.cidr, live.gateway);
      claim({ ...subnet, vpc: live.vpc }, nets);
      inForce.set(subnet.name, nets);
    } catch {
      // What the database says is unreadable: judged below by the spec alone.
    }
  }
  const byName = new Map(byAge.map((subnet, age) => [subnet.name, { subnet, age }]));
  const verdicts = new Map<string, SubnetVerdict>();
  for (const subnet of byAge) verdicts.set(subnet.name, judge(subnet));
  return verdicts;

  /** Why the names of the subnet's ports are not to be had. */
  function nameConflict(subnet: Subnet): string | undefined {
    const vpc = input.vpcs.get(subnet.name);
    if (vpc !== undefined && vpc <= subnet.created)
      return `a Vpc is named "${subnet.name}" too, and their port names would collide; give one of them another name`;
    // Subnet b in Vpc a has the ports a_b and b_a; subnet a in Vpc b would have the same two.
    const twin = byName.get(subnet.vpc);
    if (twin === undefined || twin.subnet.vpc !== subnet.name || inForce.has(subnet.name)) return undefined;
    if (!inForce.has(subnet.vpc) && twin.age > (byName.get(subnet.name)?.age ?? 0)) return undefined;
    return `subnet "${subnet.vpc}" in Vpc "${subnet.name}" has the same port names; give one of them another name`;
  }

  /** Whether what is in force could become what is wanted: the API server lets a block only grow, but not over a re-creation. */
  function follows(subnet: Subnet, wanted: Nets, old: Nets): boolean {
    const grows = (is: FamilyNet | undefined, was: FamilyNet | undefined): boolean =>
      is === undefined || was === undefined ? is === was : cidrContains(is.cidr, was.cidr);
    return input.live.get(subnet.name)?.vpc === subnet.vpc && grows(wanted.v4, old.v4) && grows(wanted.v6, old.v6);
  }

  function judge(subnet: Subnet): SubnetVerdict {
    const before = inForce.get(subnet.name);
    const inUse = before !== undefined && input.inUse(subnet.name);
    const { vpc, cidr } = input.live.get(subnet.name) ?? { vpc: '', cidr: '' };
    // What somebody has an address of stays for those who have one, as it is.
    const refused = (reason: SubnetVerdict['reason'], message: string): SubnetVerdict => ({
      ...{ ok: false, reason, message },
      ...(inUse ? { usable: { ...usable(subnet, before), vpc, deleting: true } } : {}),
    });
    if (!isIpamOnly(subnet.provider) && !input.vpcs.has(subnet.vpc))
      return refused('VpcMissing', `vpc "${subnet.vpc}" does not exist; create it, the subnet follows`);
    const taken = nameConflict(subnet);
    if (taken !== undefined) return refused('NameTaken', taken);
    let nets: Nets;
    try {
      nets = netsOf(subnet.cidrBlock, subnet.gateway);
    } catch (error) {
      return refused('Invalid', error instanceof Error ? error.message : String(error));
    }
    if (inUse && !follows(subnet, nets, before)) {
      const message = `pods still have addresses of an earlier subnet of this name (${cidr} in vpc "${vpc}"); this one follows when they are deleted`;
      return refused('InUse', message);
    }
    const gatewayHolder = [nets.v4, nets.v6]
      .filter((net) => net !== undefined)
      .map(({ gateway }) => [gateway, input.holder(subnet.name, gateway)] as const)
      .find(([, holder]) => holder !== undefined);
    if (gatewayHolder !== undefined) {
      const [gateway, holder] = gatewayHolder;
      const kept = before === undefined ? '' : '. The gateway and block of before stay in force';
      return {
        ok: false,
        reason: 'GatewayTaken',
        message: `gateway ${gateway} is the address of ${holder}; choose another one, or delete what has it${kept}`,
        ...(before === undefined ? {} : { usable: usable(subnet, before) }),
      };
    }
    const conflict = conflictOf(subnet, nets);
    if (conflict === undefined) {
      claim(subnet, nets);
      const acl = aclProblem(subnet);
      // The rest is in force; OVN leaves the rule out, and so would nobody notice.
      if (acl !== undefined) return { ok: false, reason: 'InvalidAcl', message: acl, usable: usable(subnet, nets) };
      return { ok: true, reason: 'Usable', message: 'in the northbound database', usable: usable(subnet, nets) };
    }
    const old = before;
    const advice = `${conflict}; give one of them another cidrBlock`;
    if (old === undefined) return { ok: false, reason: 'Overlap', message: advice };
    const kept = [old.v4?.cidr, old.v6?.cidr].filter((cidr) => cidr !== undefined).join(',');
    return { ok: false, reason: 'Overlap', message: `${advice}. ${kept} stays in force`, usable: usable(subnet, old) };
  }
}

function aclProblem(subnet: Subnet): string | undefined {
  for (const [index, { match }] of subnet.acls.entries()) {
    const problem = matchProblem(match);
    if (problem !== undefined)
      return `spec.acls[${index}].match has no effect: ${problem}. Everything else is in force`;
  }
  return undefined;
}

function usable(subnet: Subnet, nets: Nets): UsableSubnet {
  return {
    name: subnet.name,
    vpc: subnet.vpc,
    ...nets,
    excludeIps: subnet.excludeIps,
    namespaces: subnet.namespaces,
    namespaceSelectors: subnet.namespaceSelectors,
    isDefault: subnet.isDefault,
    private: subnet.private,
    allowSubnets: subnet.allowSubnets,
    aclLogRate: subnet.aclLogRate,
    allowEastWest: subnet.allowEastWest,
    acls: subnet.acls,
    natOutgoing: subnet.natOutgoing,
    deleting: subnet.deleting,
    ...(subnet.provider === undefined ? {} : { provider: subnet.provider }),
    ...(subnet.mtu === undefined ? {} : { mtu: subnet.mtu }),
    ...(subnet.dhcp === undefined ? {} : { dhcp: subnet.dhcp }),
    ...(subnet.ra === undefined ? {} : { ra: subnet.ra }),
    multicastSnoop: subnet.multicastSnoop,
  };
}
