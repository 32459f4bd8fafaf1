/**
 * The lab as a library: a whole cluster on one machine. `ovenbird lab` and the tests use it.
 */

export { underlay } from '../lab/src/fabric/addresses.ts';
export { defaultDirectory, type LabNames, labDirectory, labNames } from '../lab/src/fabric/names.ts';
export { listNamespaces } from '../lab/src/fabric/namespaces.ts';
export {
  commandEnvironment,
  inNamespace,
  type RunOptions,
  type RunResult,
  run,
  runAny,
} from '../lab/src/fabric/run.ts';
export { type Probe, type ProbeResult, probeAll, type Verdict } from '../lab/src/kubelet/prober.ts';
export { ownNamespaces } from '../lab/src/lab/clean.ts';
export { restartProcess, startProcess, stopProcess } from '../lab/src/lab/control.ts';
export { LabError, type LabErrorCode } from '../lab/src/lab/error.ts';
export { clusterRanges } from '../lab/src/lab/kubernetes.ts';
export {
  type LabNode,
  type LabOptions,
  type LabState,
  type Layout,
  layoutOf,
  type NodeLayout,
} from '../lab/src/lab/layout.ts';
export { isUp, managerOf } from '../lab/src/lab/manager.ts';
export { logTail, ProcessManager, type ProcessSpec, type ProcessState } from '../lab/src/lab/process.ts';
export { processesOf, processOf } from '../lab/src/lab/processes.ts';
export { rebootNode } from '../lab/src/lab/reboot.ts';
export { type LiveProcess, liveProcess, type ProcessRecord, RecordDirectory } from '../lab/src/lab/record.ts';
export { kubectlPath, repository } from '../lab/src/lab/repository.ts';
export { readState, requireState } from '../lab/src/lab/state.ts';
export { tour } from '../lab/src/lab/tour.ts';
export { down, type Progress, up } from '../lab/src/lab/up.ts';
export { accepts, type WaitOptions, waitFor } from '../lab/src/lab/wait.ts';
