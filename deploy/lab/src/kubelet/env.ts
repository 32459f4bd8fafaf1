import type { EnvVar, KeyRef, LabContainer, LabPod } from '../workloads/objects.ts';

/** What the variables of a container can refer to. */
export interface EnvSources {
  readonly pod: LabPod;
  readonly podIPs: readonly string[];
  readonly hostIPs: readonly string[];
  /** Reads `data[key]` of an object of the pod's namespace; undefined when the object or the key is missing. */
  readonly lookup: (kind: 'ConfigMap' | 'Secret', name: string, key: string) => Promise<string | undefined>;
}

/**
 * The environment of a container: PATH and HOSTNAME, then its `env` in order.
 *
 * @throws Error for a reference that cannot be resolved (a kubelet calls that CreateContainerConfigError)
 */
export async function containerEnv(container: LabContainer, sources: EnvSources): Promise<Record<string, string>> {
  const env: Record<string, string> = {
    PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    HOSTNAME: sources.pod.spec.hostname ?? sources.pod.metadata.name,
  };
  for (const variable of container.env ?? []) {
    const value = await resolve(variable, env, sources);
    if (value !== undefined) env[variable.name] = value;
  }
  return env;
}

/** `$(NAME)` is replaced where NAME is known, `$$(NAME)` means `$(NAME)` (core/v1, Container.command). */
export function expand(text: string, env: Readonly<Record<string, string>>): string {
  return text.replace(/\$\$|\$\(([^)]*)\)/g, (whole: string, name: string | undefined) =>
    whole === '$$' ? '$' : (env[name ?? ''] ?? whole),
  );
}

async function resolve(
  variable: EnvVar,
  env: Readonly<Record<string, string>>,
  sources: EnvSources,
): Promise<string | undefined> {
  const from = variable.valueFrom;
  if (from === undefined) return expand(variable.value ?? '', env);
  if (from.fieldRef) return field(from.fieldRef.fieldPath, sources);
  if (from.configMapKeyRef) return await fromKey('ConfigMap', from.configMapKeyRef, sources);
  if (from.secretKeyRef) return await fromKey('Secret', from.secretKeyRef, sources);
  throw new Error(`env ${variable.name}: the lab knows value, fieldRef, configMapKeyRef and secretKeyRef only`);
}

async function fromKey(kind: 'ConfigMap' | 'Secret', ref: KeyRef, sources: EnvSources): Promise<string | undefined> {
  const value = await sources.lookup(kind, ref.name, ref.key);
  if (value !== undefined || ref.optional === true) return value;
  throw new Error(`${kind} ${ref.name} has no key ${ref.key}, or does not exist`);
}

/** The downward API's paths (core/v1, ObjectFieldSelector). */
function field(path: string, { pod, podIPs, hostIPs }: EnvSources): string {
  const keyed = /^metadata\.(labels|annotations)\['([^']+)'\]$/.exec(path);
  if (keyed) return pod.metadata[keyed[1] as 'labels' | 'annotations']?.[keyed[2] ?? ''] ?? '';
  switch (path) {
    case 'metadata.name':
      return pod.metadata.name;
    case 'metadata.namespace':
      return pod.metadata.namespace ?? '';
    case 'metadata.uid':
      return pod.metadata.uid ?? '';
    case 'spec.nodeName':
      return pod.spec.nodeName ?? '';
    case 'spec.serviceAccountName':
      return 'default';
    case 'status.podIP':
      return podIPs[0] ?? '';
    case 'status.podIPs':
      return podIPs.join(',');
    case 'status.hostIP':
      return hostIPs[0] ?? '';
    case 'status.hostIPs':
      return hostIPs.join(',');
    default:
      throw new Error(`fieldRef ${path} is not supported`);
  }
}
