import { readdirSync, readFileSync } from 'node:fs';
import type { ClusterPolicyObject, LabelSelector } from '@ovenbird/kube';

/** An object of a case, as far as it is interpreted here. */
interface CaseObject {
  readonly apiVersion?: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
  };
}

export interface NamespaceObject extends CaseObject {
  readonly kind: 'Namespace';
}

export interface PodObject extends CaseObject {
  readonly kind: 'Pod';
  readonly spec: {
    readonly nodeName: string;
    readonly hostNetwork?: boolean;
    readonly containers: readonly {
      readonly name: string;
      readonly ports?: readonly {
        readonly name?: string;
        readonly containerPort: number;
        readonly protocol?: string;
      }[];
    }[];
  };
  /** The planned address, by which blocks of the case were computed. */
  readonly status?: { readonly podIP: string };
}

export interface Peer {
  readonly podSelector?: LabelSelector;
  readonly namespaceSelector?: LabelSelector;
  readonly ipBlock?: { readonly cidr: string; readonly except?: readonly string[] };
}

export interface Port {
  readonly protocol?: string;
  readonly port?: number | string;
  readonly endPort?: number;
}

export interface PolicyObject extends CaseObject {
  readonly kind: 'NetworkPolicy';
  readonly spec: {
    readonly podSelector: LabelSelector;
    readonly policyTypes?: readonly string[];
    readonly ingress?: readonly { readonly from?: readonly Peer[]; readonly ports?: readonly Port[] }[];
    readonly egress?: readonly { readonly to?: readonly Peer[]; readonly ports?: readonly Port[] }[];
  };
}

/** A policy of the whole cluster. */
export interface ClusterPolicyCase extends CaseObject {
  readonly kind: 'AdminNetworkPolicy' | 'BaselineAdminNetworkPolicy' | 'ClusterNetworkPolicy';
  readonly spec: ClusterPolicyObject['spec'];
}

/** Nodes `n1`, `n2` of a fixture stand for the first nodes of the lab. */
export interface NodeCase extends CaseObject {
  readonly kind: 'Node';
}

/** Services of the fixtures: policies are probed by pod address, so they are passed over. */
interface ServiceObject extends CaseObject {
  readonly kind: 'Service';
}

export type FixtureObject = NamespaceObject | PodObject | PolicyObject | ClusterPolicyCase | NodeCase | ServiceObject;

export interface Removal {
  readonly kind: FixtureObject['kind'];
  readonly namespace?: string;
  readonly name: string;
}

/** Reachability: `rows[i][j]` from `order[i]` to `order[j]`; `.` allowed, `X` blocked, `-` not probed. */
export interface Expectation {
  readonly order: readonly string[];
  readonly tables: readonly { readonly ports: readonly string[]; readonly rows: readonly string[] }[];
}

export interface Step {
  /** Created, or replaced by kind, namespace and name; of a Pod or Namespace that exists only the labels. */
  readonly apply?: readonly FixtureObject[];
  /** Done after `apply`. */
  readonly delete?: readonly Removal[];
  readonly expect: Expectation;
  /** Probes of the suite that the case comes from. */
  readonly checks?: readonly {
    readonly from: string;
    readonly to: string;
    readonly proto: string;
    readonly port: number;
    readonly allowed: boolean;
  }[];
}

/** One case: steps that follow each other, from the bare fixture. */
export interface Case {
  readonly name: string;
  readonly description: string;
  readonly tags: readonly string[];
  readonly fixture: string;
  /** Blocks that were computed from a pod's address: this text stands for that pod's network. */
  readonly cidrVars?: readonly { readonly cidr: string; readonly pod: string; readonly prefix: number }[];
  readonly steps: readonly Step[];
}

export interface Fixture {
  readonly name: string;
  readonly objects: readonly FixtureObject[];
}

/** Reads JSON without the nulls that Go writes for empty lists; an empty selector is one that selects everything. */
const read = (url: URL): unknown =>
  JSON.parse(readFileSync(url, 'utf8'), (key, value: unknown) =>
    value === null && key === 'podSelector' ? {} : (value ?? undefined),
  ) as unknown;

const folderOf = (suite: string): URL => new URL(`../data/${suite}/`, import.meta.url);

/** A case of the policy-api has features instead of tags. */
type Recorded = Omit<Case, 'tags'> & { readonly tags?: readonly string[]; readonly features?: readonly string[] };

/** All cases whose name or tags contain the pattern, in order. @param suite folder of the data */
export function loadCases(pattern = '', suite = 'network-policy'): readonly Case[] {
  const folder = folderOf(suite);
  return readdirSync(new URL('cases/', folder))
    .filter((file) => file.endsWith('.json'))
    .sort()
    .map((file) => {
      const { tags, features, ...rest } = read(new URL(`cases/${file}`, folder)) as Recorded;
      return { ...rest, tags: tags ?? [...(features ?? []), tagOf(rest.name)] };
    })
    .filter(({ name, tags }) => name.includes(pattern) || tags.includes(pattern));
}

/** What a case of the policy-api is about: its name without the kind and tier. */
const tagOf = (name: string): string =>
  name.replace(/^(anp|cnp)-conf-(baseline-admin-network-policy|admin-network-policy|cnp(admin|baseline)-tier)-/, '');

export function loadFixture(name: string, suite = 'network-policy'): Fixture {
  return read(new URL(`fixtures/${name}.json`, folderOf(suite))) as Fixture;
}

/** Few cases that cover every tag of all: for each tag at least `each`, as far as there are so many, and `count` at least. */
export function coveringCases(cases: readonly Case[], count: number, each = 2): readonly Case[] {
  const left = new Map<string, number>();
  for (const { tags } of cases) for (const tag of tags) left.set(tag, Math.min(each, (left.get(tag) ?? 0) + 1));
  const chosen = new Set<Case>();
  while (chosen.size < Math.min(count, cases.length) || [...left.values()].some((missing) => missing > 0)) {
    const gain = ({ tags }: Case): number => tags.filter((tag) => (left.get(tag) ?? 0) > 0).length;
    const best = cases.filter((candidate) => !chosen.has(candidate)).reduce((a, b) => (gain(b) > gain(a) ? b : a));
    chosen.add(best);
    for (const tag of best.tags) left.set(tag, (left.get(tag) ?? 0) - 1);
  }
  return cases.filter((candidate) => chosen.has(candidate));
}
