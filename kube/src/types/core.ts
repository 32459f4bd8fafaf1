import type { KubeObject, OwnerReference } from './meta.ts';

/** The fields of `core/v1` objects that Ovenbird reads. */

/** A number or a name: `containerPort: 80`, `targetPort: "http"`. */
export type IntOrString = number | string;

/** `core/v1` protocol of a port; the API's default is TCP. */
export type Protocol = 'TCP' | 'UDP' | 'SCTP';

/** A port that a container lists. */
export interface ContainerPort {
  readonly name?: string | undefined;
  readonly containerPort: number;
  readonly hostPort?: number | undefined;
  readonly hostIP?: string | undefined;
  readonly protocol?: Protocol | undefined;
}

/** A container of a pod, as far as a network cares. */
export interface Container {
  readonly name: string;
  readonly image?: string | undefined;
  readonly command?: readonly string[] | undefined;
  readonly args?: readonly string[] | undefined;
  readonly ports?: readonly ContainerPort[] | undefined;
  readonly restartPolicy?: string | undefined;
}

/** `PodCondition`. */
export interface PodCondition {
  readonly type: string;
  readonly status: 'True' | 'False' | 'Unknown';
  readonly reason?: string | undefined;
  readonly message?: string | undefined;
  readonly lastTransitionTime?: string | undefined;
}

/** `core/v1` Pod. */
export interface Pod extends KubeObject {
  readonly spec: {
    readonly nodeName?: string | undefined;
    readonly hostNetwork?: boolean | undefined;
    readonly hostname?: string | undefined;
    readonly subdomain?: string | undefined;
    readonly containers?: readonly Container[] | undefined;
    readonly initContainers?: readonly Container[] | undefined;
    readonly serviceAccountName?: string | undefined;
  };
  readonly status?:
    | {
        readonly phase?: 'Pending' | 'Running' | 'Succeeded' | 'Failed' | 'Unknown' | undefined;
        readonly podIP?: string | undefined;
        readonly podIPs?: readonly { readonly ip: string }[] | undefined;
        readonly hostIP?: string | undefined;
        readonly hostIPs?: readonly { readonly ip: string }[] | undefined;
        readonly conditions?: readonly PodCondition[] | undefined;
      }
    | undefined;
}

/** Annotation of a mirror pod, which kubelet makes for a static pod: the UID of the latter. */
const MIRROR = 'kubernetes.io/config.mirror';

/**
 * The UID under which kubelet runs a pod. A static pod's is the hash of its manifest, that of the mirror pod in the API is
 * another one, and is new whenever somebody deletes the mirror while the containers run on (kubernetes, pkg/kubelet/pod,
 * `GetUIDTranslations`).
 */
export function runtimeUid({ uid, annotations }: KubeObject['metadata']): string | undefined {
  return annotations?.[MIRROR] ?? uid;
}

/** `core/v1` Node. */
export interface Node extends KubeObject {
  readonly spec?:
    | {
        readonly podCIDR?: string | undefined;
        readonly podCIDRs?: readonly string[] | undefined;
        readonly providerID?: string | undefined;
        readonly unschedulable?: boolean | undefined;
        readonly taints?:
          | readonly { readonly key: string; readonly value?: string | undefined; readonly effect: string }[]
          | undefined;
      }
    | undefined;
  readonly status?:
    | {
        readonly addresses?: readonly { readonly type: string; readonly address: string }[] | undefined;
        readonly conditions?:
          | readonly {
              readonly type: string;
              readonly status: string;
              readonly reason?: string | undefined;
              readonly message?: string | undefined;
            }[]
          | undefined;
      }
    | undefined;
}

/** `core/v1` Namespace. */
export interface Namespace extends KubeObject {
  readonly spec?: { readonly finalizers?: readonly string[] | undefined } | undefined;
  readonly status?: { readonly phase?: 'Active' | 'Terminating' | undefined } | undefined;
}

/** One port of a Service. */
export interface ServicePort {
  readonly name?: string | undefined;
  readonly protocol?: Protocol | undefined;
  readonly port: number;
  readonly targetPort?: IntOrString | undefined;
  readonly nodePort?: number | undefined;
  readonly appProtocol?: string | undefined;
}

/** `core/v1` Service. */
export interface Service extends KubeObject {
  readonly spec: {
    readonly type?: 'ClusterIP' | 'NodePort' | 'LoadBalancer' | 'ExternalName' | undefined;
    readonly clusterIP?: string | undefined;
    readonly clusterIPs?: readonly string[] | undefined;
    readonly externalIPs?: readonly string[] | undefined;
    readonly externalName?: string | undefined;
    readonly ipFamilies?: readonly ('IPv4' | 'IPv6')[] | undefined;
    readonly ipFamilyPolicy?: string | undefined;
    readonly loadBalancerIP?: string | undefined;
    readonly loadBalancerClass?: string | undefined;
    readonly loadBalancerSourceRanges?: readonly string[] | undefined;
    readonly allocateLoadBalancerNodePorts?: boolean | undefined;
    readonly healthCheckNodePort?: number | undefined;
    readonly ports?: readonly ServicePort[] | undefined;
    readonly selector?: Readonly<Record<string, string>> | undefined;
    readonly sessionAffinity?: 'None' | 'ClientIP' | undefined;
    readonly sessionAffinityConfig?:
      | { readonly clientIP?: { readonly timeoutSeconds?: number | undefined } | undefined }
      | undefined;
    readonly externalTrafficPolicy?: 'Cluster' | 'Local' | undefined;
    readonly internalTrafficPolicy?: 'Cluster' | 'Local' | undefined;
    readonly publishNotReadyAddresses?: boolean | undefined;
    readonly trafficDistribution?: string | undefined;
  };
  readonly status?:
    | {
        readonly loadBalancer?:
          | {
              readonly ingress?:
                | readonly {
                    readonly ip?: string | undefined;
                    readonly hostname?: string | undefined;
                    readonly ipMode?: string | undefined;
                  }[]
                | undefined;
            }
          | undefined;
      }
    | undefined;
}

/** `core/v1` ObjectReference, as Events use it. */
export interface ObjectReference {
  readonly apiVersion?: string | undefined;
  readonly kind?: string | undefined;
  readonly namespace?: string | undefined;
  readonly name?: string | undefined;
  readonly uid?: string | undefined;
  readonly resourceVersion?: string | undefined;
  readonly fieldPath?: string | undefined;
}

/** `core/v1` Event. */
export interface KubeEvent extends KubeObject {
  readonly involvedObject: ObjectReference;
  readonly type?: 'Normal' | 'Warning' | undefined;
  readonly reason?: string | undefined;
  readonly message?: string | undefined;
  readonly count?: number | undefined;
  readonly firstTimestamp?: string | null | undefined;
  readonly lastTimestamp?: string | null | undefined;
  readonly source?: { readonly component?: string | undefined; readonly host?: string | undefined } | undefined;
  readonly reportingComponent?: string | undefined;
  readonly reportingInstance?: string | undefined;
}

/** `core/v1` ConfigMap. */
export interface ConfigMap extends KubeObject {
  readonly data?: Readonly<Record<string, string>> | undefined;
}

/** `core/v1` Secret; the values are base64. */
export interface Secret extends KubeObject {
  readonly type?: string | undefined;
  readonly data?: Readonly<Record<string, string>> | undefined;
}

/** The owner that controls an object (at most one owner reference has `controller: true`). */
export function controllerOf(object: KubeObject): OwnerReference | undefined {
  return object.metadata.ownerReferences?.find((owner) => owner.controller === true);
}
