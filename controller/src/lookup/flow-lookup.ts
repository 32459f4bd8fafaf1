import type { OvnNorthbound, OvnSouthbound, Replica, Row } from '@ovenbird/ovsdb';
import { splitOwner } from '../compile/names.ts';
import { OWNER_KEY } from '../northbound/rows.ts';
import { PrefixIndex, prefixOf } from './prefix-index.ts';
import { isAclStage, type StageReason, watchedStages } from './stages.ts';

/** The rule that an ACL was compiled from. */
export interface FlowRule {
  /** Kind of the object that owns the ACL; empty for ACLs that are not Ovenbird's. */
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  /** Which of the object's rules: `ingress/0`, `ingress/drop`, `acl_0`. */
  readonly rule: string;
  /** As seen from the pod. */
  readonly direction: 'ingress' | 'egress';
  readonly action: 'allow' | 'drop' | 'reject' | 'pass';
}

/** What a flow of br-int stands for. */
export interface FlowMeaning {
  readonly stage: string;
  /** Name of the logical switch (Subnet) or router (Vpc) that the flow belongs to. */
  readonly datapath: string;
  readonly rule?: FlowRule;
}

/** A watched stage and how its OpenFlow table is recognised. */
export interface StageInfo {
  readonly name: string;
  readonly acl: boolean;
  readonly direction: 'ingress' | 'egress';
  /** Why packets are dropped here when no ACL says so. */
  readonly reason: StageReason;
  /** Cookies of some of its flows; where one of them is, there is the stage. */
  readonly examples: readonly string[];
}

type Acl = Row<OvnNorthbound, 'ACL'>;

/** More would say the same: a stage's general flows are shared by all switches. */
const EXAMPLES = 8;

/** Answers what the cookies of br-int's flows mean, from the two databases. */
export class FlowLookup {
  readonly #northbound: Replica<OvnNorthbound>;
  readonly #southbound: Replica<OvnSouthbound>;
  readonly #flows: PrefixIndex<OvnSouthbound, 'Logical_Flow'>;
  readonly #acls: PrefixIndex<OvnNorthbound, 'ACL'>;

  /**
   * @param northbound with the tables ACL and Logical_Switch
   * @param southbound with what southbound.ts says
   */
  constructor(northbound: Replica<OvnNorthbound>, southbound: Replica<OvnSouthbound>) {
    this.#northbound = northbound;
    this.#southbound = southbound;
    this.#flows = new PrefixIndex(southbound.table('Logical_Flow'));
    this.#acls = new PrefixIndex(northbound.table('ACL'));
  }

  /** Whether both databases were read. */
  get ready(): boolean {
    return this.#northbound.generation > 0 && this.#southbound.generation > 0;
  }

  /** The watched stages that exist. */
  stages(): readonly StageInfo[] {
    const examples = new Map<string, string[]>();
    const tables = new Map<string, 'ingress' | 'egress'>();
    for (const { _uuid, pipeline, external_ids: ids } of this.#southbound.table('Logical_Flow').rows()) {
      const name = ids.get('stage-name') ?? '';
      tables.set(name, pipeline);
      const cookies = examples.get(name) ?? [];
      // Flows without a hint are the same for every switch, so that each node has some of them.
      if (!ids.has('stage-hint') && cookies.length < EXAMPLES) examples.set(name, [...cookies, prefixOf(_uuid)]);
    }
    return [...watchedStages].flatMap(([name, reason]) => {
      const pipeline = tables.get(name);
      if (pipeline === undefined) return [];
      // The pipelines of OVN are the packet's: what a pod sends goes through its switch's ingress.
      const direction = pipeline === 'ingress' ? 'egress' : 'ingress';
      return [{ name, acl: isAclStage(name), direction, reason, examples: examples.get(name) ?? [] }];
    });
  }

  /**
   * What a flow means.
   * @param cookie 8 hexadecimal digits
   * @param datapath the `metadata` that the flow matches: tunnel key of its datapath
   * @returns undefined when no logical flow has that cookie (any more, or yet)
   */
  find(cookie: string, datapath: number): FlowMeaning | undefined {
    const uuid = this.#flows.find(cookie);
    const flow = uuid === undefined ? undefined : this.#southbound.table('Logical_Flow').get(uuid);
    const stage = flow?.external_ids.get('stage-name');
    if (flow === undefined || stage === undefined) return undefined;
    const binding = this.#southbound.table('Datapath_Binding').find('tunnel_key', datapath)[0];
    const meaning = { stage, datapath: binding?.external_ids.get('name') ?? '' };
    const hint = flow.external_ids.get('stage-hint');
    if (hint === undefined || !isAclStage(stage)) return meaning;
    const acl = this.#acl(hint, binding?.external_ids.get('logical-switch'));
    return acl === undefined ? undefined : { ...meaning, rule: ruleOf(acl) };
  }

  /**
   * northd makes one logical flow of equal ACLs of several switches, and keeps the hint of one of them (ovn-northd,
   * `ovn_lflow_add`): on the others' datapaths their own is meant.
   */
  #acl(hint: string, switchUuid: string | undefined): Acl | undefined {
    const table = this.#northbound.table('ACL');
    const uuid = this.#acls.find(hint);
    const hinted = uuid === undefined ? undefined : table.get(uuid);
    const own = switchUuid === undefined ? undefined : this.#northbound.table('Logical_Switch').get(switchUuid)?.acls;
    if (hinted === undefined || own === undefined || own.includes(hinted._uuid)) return hinted;
    const twin = own.map((one) => table.get(one)).find((one) => one !== undefined && areEqual(one, hinted));
    return twin ?? hinted;
  }
}

const areEqual = (a: Acl, b: Acl): boolean =>
  a.direction === b.direction && a.priority === b.priority && a.action === b.action && a.match === b.match;

/** The rule of an ACL, from what its external_ids say. */
function ruleOf({ _uuid, external_ids: ids, name, direction, action }: Acl): FlowRule {
  const [kind, key] = splitOwner(ids.get(OWNER_KEY) ?? '/');
  const slash = key.indexOf('/');
  return {
    kind,
    namespace: slash < 0 ? '' : key.slice(0, slash),
    name: key.slice(slash + 1),
    // ACLs that somebody else made have a name at best.
    rule: ids.get('rule') ?? name ?? prefixOf(_uuid),
    direction: direction === 'to-lport' ? 'ingress' : 'egress',
    action: verbOf(action),
  };
}

function verbOf(action: Acl['action']): FlowRule['action'] {
  return action === 'allow' || action === 'allow-related' || action === 'allow-stateless' ? 'allow' : action;
}
