import { ALLOW_UNSAFE_PORTS, parseIp, request } from '@ovenbird/crds';
import type { Namespace } from '../store/model.ts';

/** What a pod's port lets through beyond the pod's own address. */
export interface PortOptions {
  /** Only frames from the pod's MAC and addresses are taken (ovn-nb(5), Logical_Switch_Port port_security). */
  readonly secure: boolean;
  /** Frames for MACs that no port has are handed to this one as well (`unknown`). */
  readonly forward: boolean;
  /** Further addresses that the pod may send from. */
  readonly vips: readonly string[];
  /** For events; what is refused changes nothing. */
  readonly problems: readonly { readonly reason: string; readonly message: string }[];
}

const safe: PortOptions = { secure: true, forward: false, vips: [], problems: [] };
const keys = [request.portSecurity, request.layer2Forward, request.portVips];

/**
 * Reads `port_security`, `layer2_forward` and `port_vips` of a pod, else of its namespace. With them a pod can pretend to be its neighbours, so its namespace
 * has to be labelled for it (design §3, "Who may use what").
 */
export function portOptionsOf(
  annotations: Readonly<Record<string, string>>,
  namespace: Namespace | undefined,
): PortOptions {
  const textOf = (key: string): string => annotations[key] ?? namespace?.annotations[key] ?? '';
  if (keys.every((key) => textOf(key) === '')) return safe;
  const problems: { reason: string; message: string }[] = [];
  const read = (key: string): boolean | undefined => {
    const text = textOf(key);
    if (text === 'true' || text === 'false') return text === 'true';
    if (text !== '')
      problems.push({
        reason: 'InvalidAnnotation',
        message: `annotation ${key}: "${text.slice(0, 40)}" is neither "true" nor "false"`,
      });
    return undefined;
  };
  const security = read(request.portSecurity);
  const forward = read(request.layer2Forward) ?? false;
  // Port security also keeps frames for other MACs from the port (ovn-nb(5)), which would leave nothing to forward.
  const secure = security ?? !forward;
  const vips: string[] = [];
  for (const part of textOf(request.portVips).split(',')) {
    const text = part.trim();
    try {
      if (text !== '') vips.push(parseIp(text));
    } catch {
      problems.push({
        reason: 'InvalidAnnotation',
        message: `annotation ${request.portVips}: "${text.slice(0, 60)}" is not an address; write addresses joined by commas`,
      });
    }
  }
  const unsafe = [
    ...(security === false ? [`${request.portSecurity}=false`] : []),
    ...(forward ? [`${request.layer2Forward}=true`] : []),
    ...(vips.length > 0 ? [request.portVips] : []),
  ];
  if (unsafe.length > 0 && namespace?.labels[ALLOW_UNSAFE_PORTS] !== 'true') {
    problems.push({
      reason: 'UnsafePortForbidden',
      message: `${unsafe.join(', ')} lets a pod pretend to be others, and namespace "${namespace?.name ?? ''}" may not: label it ${ALLOW_UNSAFE_PORTS}=true, or remove the annotation, which has no effect`,
    });
    return { ...safe, problems };
  }
  return { secure, forward, vips: [...new Set(vips)].sort(), problems };
}
