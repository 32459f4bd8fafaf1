/** What the agent answers on its read-only socket, and the reading of counters behind it. */
export type { AclLogEnd, AclLogEntry } from './acl-log/entry.ts';
export type { Explainer, FlowMeaning, StageInfo } from './flows/explainer.ts';
export type { FlowSource } from './flows/reader.ts';
export type { Counted, CountedSubject, NodeReport, PodReport, PodTraffic } from './flows/report.ts';
export { FlowStatistics } from './flows/statistics.ts';
