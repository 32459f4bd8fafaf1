import {
  type Condition,
  type ContainerPort,
  type IntOrString,
  type KubeObject,
  type LabelSelector,
  type Node,
  type ObjectMeta,
  type PodCondition,
  type ResourceKind,
  resourceKind,
} from '@ovenbird/kube';

/**
 * The parts of the Kubernetes API that the lab's kubelet and controllers read and write, and that the product, which
 * sees only networks, does not need.
 */

/** One variable of `env`; only literals, `fieldRef`, `configMapKeyRef` and `secretKeyRef` are supported. */
export interface EnvVar {
  readonly name: string;
  readonly value?: string | undefined;
  readonly valueFrom?:
    | {
        readonly fieldRef?: { readonly fieldPath: string } | undefined;
        readonly configMapKeyRef?: KeyRef | undefined;
        readonly secretKeyRef?: KeyRef | undefined;
      }
    | undefined;
}

/** A key of a ConfigMap or Secret. */
export interface KeyRef {
  readonly name: string;
  readonly key: string;
  readonly optional?: boolean | undefined;
}

/** `core/v1` Container, as far as the lab runs it. */
export interface LabContainer {
  readonly name: string;
  readonly image?: string | undefined;
  readonly command?: readonly string[] | undefined;
  readonly args?: readonly string[] | undefined;
  readonly workingDir?: string | undefined;
  readonly env?: readonly EnvVar[] | undefined;
  readonly ports?: readonly ContainerPort[] | undefined;
}

/** `core/v1` Toleration. */
export interface Toleration {
  readonly key?: string | undefined;
  readonly operator?: 'Exists' | 'Equal' | undefined;
  readonly value?: string | undefined;
  readonly effect?: string | undefined;
  readonly tolerationSeconds?: number | undefined;
}

/** `core/v1` PodSpec. */
export interface LabPodSpec {
  readonly nodeName?: string | undefined;
  readonly hostNetwork?: boolean | undefined;
  readonly hostname?: string | undefined;
  readonly subdomain?: string | undefined;
  readonly restartPolicy?: 'Always' | 'OnFailure' | 'Never' | undefined;
  readonly terminationGracePeriodSeconds?: number | undefined;
  readonly containers: readonly LabContainer[];
  readonly initContainers?: readonly LabContainer[] | undefined;
  readonly nodeSelector?: Readonly<Record<string, string>> | undefined;
  readonly schedulerName?: string | undefined;
  readonly schedulingGates?: readonly { readonly name: string }[] | undefined;
  readonly tolerations?: readonly Toleration[] | undefined;
  readonly affinity?: unknown;
}

/** `core/v1` ContainerState: exactly one key is set. */
export interface ContainerState {
  readonly waiting?: { readonly reason: string; readonly message?: string | undefined } | undefined;
  readonly running?: { readonly startedAt: string } | undefined;
  readonly terminated?:
    | {
        readonly exitCode: number;
        readonly signal?: number | undefined;
        readonly reason: string;
        readonly startedAt: string;
        readonly finishedAt: string;
        readonly containerID?: string | undefined;
      }
    | undefined;
}

/** `core/v1` ContainerStatus. */
export interface ContainerStatus {
  readonly name: string;
  readonly image: string;
  readonly imageID: string;
  readonly containerID?: string | undefined;
  readonly ready: boolean;
  readonly started: boolean;
  readonly restartCount: number;
  readonly state: ContainerState;
  readonly lastState: ContainerState;
}

/** `core/v1` PodStatus. */
export interface LabPodStatus {
  readonly phase?: 'Pending' | 'Running' | 'Succeeded' | 'Failed' | 'Unknown' | undefined;
  readonly reason?: string | undefined;
  readonly message?: string | undefined;
  readonly podIP?: string | undefined;
  readonly podIPs?: readonly { readonly ip: string }[] | undefined;
  readonly hostIP?: string | undefined;
  readonly hostIPs?: readonly { readonly ip: string }[] | undefined;
  readonly startTime?: string | undefined;
  readonly conditions?: readonly PodCondition[] | undefined;
  readonly containerStatuses?: readonly ContainerStatus[] | undefined;
  readonly initContainerStatuses?: readonly ContainerStatus[] | undefined;
}

/** `core/v1` Pod. */
export interface LabPod extends KubeObject {
  readonly spec: LabPodSpec;
  readonly status?: LabPodStatus | undefined;
}

/** `metadata` and `spec` of the pods a controller makes. */
export interface PodTemplate {
  readonly metadata?: Partial<ObjectMeta> | undefined;
  readonly spec: LabPodSpec;
}

/** `apps/v1` Deployment. */
export interface Deployment extends KubeObject {
  readonly spec: {
    readonly replicas?: number | undefined;
    readonly paused?: boolean | undefined;
    readonly minReadySeconds?: number | undefined;
    readonly revisionHistoryLimit?: number | undefined;
    readonly selector: LabelSelector;
    readonly template: PodTemplate;
    readonly strategy?:
      | {
          readonly type?: 'RollingUpdate' | 'Recreate' | undefined;
          readonly rollingUpdate?:
            | { readonly maxSurge?: IntOrString | undefined; readonly maxUnavailable?: IntOrString | undefined }
            | undefined;
        }
      | undefined;
  };
  readonly status?: unknown;
}

/** `apps/v1` ReplicaSet. */
export interface ReplicaSet extends KubeObject {
  readonly spec: {
    readonly replicas?: number | undefined;
    readonly selector: LabelSelector;
    readonly template: PodTemplate;
  };
  readonly status?: ReplicaCounts | undefined;
}

/** What ReplicaSets report. */
export interface ReplicaCounts {
  readonly replicas?: number | undefined;
  readonly readyReplicas?: number | undefined;
  readonly availableReplicas?: number | undefined;
  readonly fullyLabeledReplicas?: number | undefined;
  readonly observedGeneration?: number | undefined;
}

/** `apps/v1` StatefulSet. */
export interface LabStatefulSet extends KubeObject {
  readonly spec: {
    readonly replicas?: number | undefined;
    readonly serviceName?: string | undefined;
    readonly ordinals?: { readonly start?: number | undefined } | undefined;
    readonly podManagementPolicy?: 'OrderedReady' | 'Parallel' | undefined;
    readonly updateStrategy?:
      | {
          readonly type?: 'RollingUpdate' | 'OnDelete' | undefined;
          readonly rollingUpdate?: { readonly partition?: number | undefined } | undefined;
        }
      | undefined;
    readonly selector: LabelSelector;
    readonly template: PodTemplate;
  };
  readonly status?: unknown;
}

/** `apps/v1` DaemonSet. */
export interface DaemonSet extends KubeObject {
  readonly spec: {
    readonly selector: LabelSelector;
    readonly template: PodTemplate;
    readonly updateStrategy?: { readonly type?: 'RollingUpdate' | 'OnDelete' | undefined } | undefined;
  };
  readonly status?: unknown;
}

/** `batch/v1` Job. */
export interface Job extends KubeObject {
  readonly spec: {
    readonly completions?: number | undefined;
    readonly parallelism?: number | undefined;
    readonly backoffLimit?: number | undefined;
    readonly activeDeadlineSeconds?: number | undefined;
    readonly ttlSecondsAfterFinished?: number | undefined;
    readonly suspend?: boolean | undefined;
    readonly selector?: LabelSelector | undefined;
    readonly template: PodTemplate;
  };
  readonly status?:
    | {
        readonly conditions?: readonly Partial<Condition>[] | undefined;
        readonly startTime?: string | undefined;
        readonly completionTime?: string | undefined;
        readonly active?: number | undefined;
        readonly ready?: number | undefined;
        readonly succeeded?: number | undefined;
        readonly failed?: number | undefined;
      }
    | undefined;
}

/** `core/v1` Endpoints. */
export interface Endpoints extends KubeObject {
  readonly subsets?: readonly unknown[] | undefined;
}

const kind = <T extends KubeObject>(group: string, name: string, plural: string, namespaced = true): ResourceKind<T> =>
  resourceKind<T>({ group, version: 'v1', kind: name, plural, namespaced });

/** Pods with everything the lab reads of them. */
export const LAB_PODS: ResourceKind<LabPod> = kind('', 'Pod', 'pods');
export const LAB_NODES: ResourceKind<Node> = kind('', 'Node', 'nodes', false);
export const ENDPOINTS: ResourceKind<Endpoints> = kind('', 'Endpoints', 'endpoints');
export const DEPLOYMENTS: ResourceKind<Deployment> = kind('apps', 'Deployment', 'deployments');
export const REPLICASETS: ResourceKind<ReplicaSet> = kind('apps', 'ReplicaSet', 'replicasets');
export const LAB_STATEFULSETS: ResourceKind<LabStatefulSet> = kind('apps', 'StatefulSet', 'statefulsets');
export const DAEMONSETS: ResourceKind<DaemonSet> = kind('apps', 'DaemonSet', 'daemonsets');
export const JOBS: ResourceKind<Job> = kind('batch', 'Job', 'jobs');

/** Whether the pod has ended for good. */
export function isTerminal(pod: LabPod): boolean {
  return pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed';
}

/** Whether the condition Ready is True. */
export function isReady(pod: LabPod): boolean {
  return (
    pod.status?.conditions?.some((condition) => condition.type === 'Ready' && condition.status === 'True') ?? false
  );
}

/** RFC 3339 with whole seconds, as metav1.Time is written. */
export function timestamp(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z');
}
