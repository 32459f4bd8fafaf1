import { readdirSync, readFileSync } from 'node:fs';
import type { LabelSelector } from '@ovenbird/kube';

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

/** Services of the fixtures: policies are probed by pod address, so they are passed over. */
interface ServiceObject extends CaseObject {
  readonly kind: 'Service';
}

export type FixtureObject = NamespaceObject | PodObject | PolicyObject | ServiceObject;

export interface Removal {
  readonly kind: 'Namespace' | 'Pod' | 'NetworkPolicy' | 'Service';
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

/** Reads JSON without the nulls that Go writes for empty lists. */
const read = (url: URL): unknown =>
  JSON.parse(readFileSync(url, 'utf8'), (_key, value: unknown) => value ?? undefined) as unknown;

const data = new URL('../data/network-policy/', import.meta.url);

/** All cases whose name or tags contain the pattern, in order. */
export function loadCases(pattern = ''): readonly Case[] {
  return readdirSync(new URL('cases/', data))
    .filter((file) => file.endsWith('.json'))
    .sort()
    .map((file) => read(new URL(`cases/${file}`, data)) as Case)
    .filter(({ name, tags }) => name.includes(pattern) || tags.includes(pattern));
}

export function loadFixture(name: string): Fixture {
  return read(new URL(`fixtures/${name}.json`, data)) as Fixture;
}

/** Few cases that cover every tag of all: for each tag at least two, as far as there are so many, and `count` at least. */
export function coveringCases(cases: readonly Case[], count: number): readonly Case[] {
  const left = new Map<string, number>();
  for (const { tags } of cases) for (const tag of tags) left.set(tag, Math.min(2, (left.get(tag) ?? 0) + 1));
  const chosen = new Set<Case>();
  while (chosen.size < Math.min(count, cases.length) || [...left.values()].some((missing) => missing > 0)) {
    const gain = ({ tags }: Case): number => tags.filter((tag) => (left.get(tag) ?? 0) > 0).length;
    const best = cases.filter((candidate) => !chosen.has(candidate)).reduce((a, b) => (gain(b) > gain(a) ? b : a));
    chosen.add(best);
    for (const tag of best.tags) left.set(tag, (left.get(tag) ?? 0) - 1);
  }
  return cases.filter((candidate) => chosen.has(candidate));
}
