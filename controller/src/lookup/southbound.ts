import type { IndexSpec, MonitorSpec, OvnSouthbound } from '@ovenbird/ovsdb';
import { watchedStages } from './stages.ts';

/**
 * What is watched of the southbound database: the flows of a few stages, without their matches and actions, and the names
 * of the datapaths. A cluster has hundreds of thousands of logical flows, two or three for each ACL.
 */
export const southboundMonitor: MonitorSpec<OvnSouthbound> = {
  Logical_Flow: {
    columns: ['pipeline', 'table_id', 'external_ids'],
    where: [...watchedStages.keys()].map(
      (stage) => ['external_ids', 'includes', new Map([['stage-name', stage]])] as const,
    ),
  },
  Datapath_Binding: ['tunnel_key', 'external_ids'],
};

/** Indexes of the replica. */
export const southboundIndexes: IndexSpec<OvnSouthbound> = { Datapath_Binding: [['tunnel_key']] };
