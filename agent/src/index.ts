/** What the agent answers on its read-only socket. */
export type { Counted, CountedSubject, NodeReport, PodReport, PodTraffic } from './flows/report.ts';
