import type { OvnNorthbound } from '@ovenbird/ovsdb';

/** What of an ACL row is shown or decides its place. */
export type Acl = Pick<
  OvnNorthbound['ACL'],
  'name' | 'priority' | 'direction' | 'match' | 'action' | 'options' | 'external_ids' | 'tier'
>;

/** An ACL that judges packets of a pod. */
export interface PodAcl {
  /** `egress`: what the pod sends; `ingress`: what is sent to it. */
  readonly direction: 'egress' | 'ingress';
  /** Judged after Services were resolved to pods. */
  readonly afterLb: boolean;
  /** OVN's tier; 0 where the schema has none. */
  readonly tier: number;
  readonly priority: number;
  readonly action: Acl['action'];
  /** The object that it was compiled from, `<Kind>/<name>` or `<Kind>/<namespace>/<name>`; undefined for others' rows. */
  readonly object: string | undefined;
  /** Which part of the object. */
  readonly rule: string;
  readonly match: string;
}

/**
 * The ACLs of a pod in the order in which OVN evaluates them (ovn-nb(5), ACL): what it sends before what it receives, before
 * load balancing before after it, lower tiers first, then higher priorities. The first that matches decides its stage.
 * @param acls of the pod's switch and of its port groups
 * @param groups names of the port groups that hold the pod's port: rules for others' groups are left out
 */
export function inOrder(acls: readonly Acl[], groups: ReadonlySet<string>): readonly PodAcl[] {
  return acls
    .filter(({ match, direction }) => concerns(match, direction, groups))
    .map((acl): PodAcl => {
      const { name, priority, direction, match, action, options, external_ids: ids, tier } = acl;
      return {
        direction: direction === 'from-lport' ? 'egress' : 'ingress',
        afterLb: options.get('apply-after-lb') === 'true',
        tier,
        priority,
        action,
        object: ids.get('ovenbird/owner'),
        rule: ids.get('rule') ?? name ?? '',
        match,
      };
    })
    .sort(
      (a, b) =>
        compare(a.direction, b.direction) ||
        Number(a.afterLb) - Number(b.afterLb) ||
        a.tier - b.tier ||
        b.priority - a.priority ||
        compare(a.object ?? '', b.object ?? '') ||
        compare(a.rule, b.rule),
    );
}

/**
 * Every rule that Ovenbird writes for a group of ports names it first. The groups of a switch's pods overlap, so a pod may
 * share the row's group without being meant by the row (rules for named ports). `0` matches nothing: the row is there to
 * make OVN track connections.
 */
function concerns(match: string, direction: Acl['direction'], groups: ReadonlySet<string>): boolean {
  const side = direction === 'from-lport' ? 'inport' : 'outport';
  const [, named, group] = /^\(?(inport|outport) == @([\w.]+)/.exec(match) ?? [];
  return match !== '0' && (named !== side || group === undefined || groups.has(group));
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
