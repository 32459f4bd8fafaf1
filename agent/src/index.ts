/** What the agent answers on its read-only socket, and the reading of counters behind it. */
export type { Explainer, FlowMeaning, StageInfo } from './flows/explainer.ts';
export type { FlowSource } from './flows/reader.ts';
export type { Counted, CountedSubject, NodeReport, PodReport, PodTraffic } from './flows/report.ts';
export { FlowStatistics } from './flows/statistics.ts';
