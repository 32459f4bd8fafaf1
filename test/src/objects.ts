import type { Pod } from '@ovenbird/kube';
import type { Manifest } from './lab.ts';

/** Manifests that many tests use. */

export interface PodOptions {
  readonly node?: string;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly labels?: Readonly<Record<string, string>>;
  readonly port?: number;
  /** Where the node publishes `port`. */
  readonly hostPort?: number;
  /** UDP ports by name, beside `port`. */
  readonly namedPorts?: Readonly<Record<string, number>>;
  readonly command?: readonly string[];
}

/** A pod that answers with its name on one port (TCP and UDP), or runs a command. */
export function pod(namespace: string, name: string, options: PodOptions = {}): Manifest {
  const { node, annotations = {}, labels = {}, port = 8080, hostPort, namedPorts = {}, command } = options;
  const published = hostPort === undefined ? {} : { hostPort };
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { namespace, name, annotations, labels },
    spec: {
      terminationGracePeriodSeconds: 0,
      ...(node === undefined ? {} : { nodeName: node }),
      containers: [
        {
          name: 'main',
          image: 'lab',
          ports: [
            { containerPort: port, protocol: 'TCP', ...published },
            { containerPort: port, protocol: 'UDP', ...published },
            ...Object.entries(namedPorts).map(([portName, containerPort]) => ({
              name: portName,
              containerPort,
              protocol: 'UDP',
            })),
          ],
          ...(command === undefined ? {} : { command }),
        },
      ],
    },
  };
}

export const namespace = (name: string, annotations: Readonly<Record<string, string>> = {}): Manifest => ({
  apiVersion: 'v1',
  kind: 'Namespace',
  metadata: { name, annotations },
});

export const subnet = (name: string, spec: Readonly<Record<string, unknown>>): Manifest => ({
  apiVersion: 'ovenbird.io/v1',
  kind: 'Subnet',
  metadata: { name },
  spec,
});

export const vpc = (name: string): Manifest => ({
  apiVersion: 'ovenbird.io/v1',
  kind: 'Vpc',
  metadata: { name },
  spec: {},
});

/** What tests read of a Pod. */
export interface PodObject {
  readonly metadata: {
    readonly name: string;
    readonly uid: string;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly spec: { readonly nodeName?: string };
  readonly status: { readonly phase: string; readonly podIPs?: readonly { readonly ip: string }[] };
}

/** Whether a pod has the condition Ready. */
export const isReady = ({ status }: Pick<Pod, 'status'>): boolean =>
  status?.conditions?.some((condition) => condition.type === 'Ready' && condition.status === 'True') === true;

export const addressesOf = (object: PodObject): readonly string[] => (object.status.podIPs ?? []).map(({ ip }) => ip);
