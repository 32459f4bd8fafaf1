/**
 * The stages of OVN's logical pipeline (ovn-northd(8), "Logical Flow Table Structure") whose flows are worth a counter, by
 * the name in `Logical_Flow.external_ids:stage-name`.
 */

/** Where ACLs are carried out. Since OVN 23.06 they are judged in stages of other names. */
const aclStages = [
  'ls_in_acl',
  'ls_in_acl_after_lb',
  'ls_out_acl',
  'ls_in_acl_eval',
  'ls_in_acl_after_lb_eval',
  'ls_out_acl_eval',
] as const;

/** Small stages that drop for a reason of their own. */
const dropStages = {
  ls_in_apply_port_sec: 'port-security',
  ls_out_apply_port_sec: 'port-security',
  ls_in_l2_unknown: 'unknown-destination',
  lr_in_ip_routing: 'no-route',
} as const;

/** What packets that are dropped in a stage are dropped for. `conntrack`: invalid, or of a connection that an ACL ended. */
export type StageReason = 'conntrack' | (typeof dropStages)[keyof typeof dropStages];

/** Every stage that is watched, with the reason of drops there that no ACL asks for. */
export const watchedStages: ReadonlyMap<string, StageReason> = new Map<string, StageReason>([
  ...aclStages.map((name) => [name, 'conntrack'] as const),
  ...Object.entries(dropStages),
]);

/** Whether ACLs are judged in the stage. */
export const isAclStage = (name: string): boolean => watchedStages.get(name) === 'conntrack';
