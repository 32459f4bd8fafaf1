import { clusterPolicyKinds } from '../policy/cluster-model.ts';
import { attachmentUnit } from './attachment.ts';
import { clusterPolicyUnit } from './cluster-policy.ts';
import type { CompileContext } from './context.ts';
import type { UnitDefinition } from './engine.ts';
import { ipPoolUnit } from './ip-pool.ts';
import { networkPolicyUnit } from './network-policy.ts';
import { nodeUnit } from './node.ts';
import { podUnit } from './pod.ts';
import { podPeersUnit } from './pod-peers.ts';
import { nodeBlockUnit, nodeSetUnit, podSetUnit } from './pod-set.ts';
import { qosPolicyUnit } from './qos.ts';
import { closedPodsUnit, securityGroupUnit } from './security-group.ts';
import { subnetUnit } from './subnet.ts';
import { vipUnit } from './vip.ts';
import { vpcUnit } from './vpc.ts';

/** Every compile unit. A later feature is one file and one line here. */
export function allUnits(context: CompileContext): readonly UnitDefinition[] {
  return [
    vpcUnit(context),
    subnetUnit(context),
    ipPoolUnit(context),
    qosPolicyUnit(context),
    nodeUnit(context),
    podSetUnit(context),
    nodeBlockUnit(context),
    nodeSetUnit(context),
    podPeersUnit(context),
    networkPolicyUnit(context),
    ...clusterPolicyKinds.map((kind) => clusterPolicyUnit(context, kind)),
    closedPodsUnit(context),
    securityGroupUnit(context),
    podUnit(context),
    vipUnit(context),
    attachmentUnit(context),
  ];
}
