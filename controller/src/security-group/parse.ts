import {
  DEFAULT_LOG_RATE,
  parseCidr,
  type SecurityGroup as SecurityGroupObject,
  type SecurityGroupRule,
} from '@ovenbird/crds';
import { parseSelector } from '../policy/selector.ts';
import type { Meta } from '../store/meta.ts';
import type { GroupRule, Ports, SecurityGroup } from './model.ts';

/** What is kept of a SecurityGroup. The schema was checked by the API server. */
export function parseSecurityGroup(
  { metadata, spec }: SecurityGroupObject,
  meta: Meta,
  defaultVpc: string,
): SecurityGroup {
  return {
    ...meta,
    vpc: spec.vpc ?? defaultVpc,
    tier: spec.tier === 1 ? 1 : 0,
    sameGroup: spec.allowSameGroupTraffic ?? false,
    ingress: (spec.ingressRules ?? []).map(ruleOf),
    egress: (spec.egressRules ?? []).map(ruleOf),
    namespaces: spec.namespaces ?? [],
    namespaceSelectors: (spec.namespaceSelectors ?? []).map(parseSelector),
    selectors: (spec.selectors ?? []).map(({ namespaceSelector, podSelector }) => ({
      namespaces: parseSelector(namespaceSelector ?? {}),
      pods: parseSelector(podSelector ?? {}),
    })),
    logDropped: spec.logDropped ?? false,
    logRate: spec.logRate ?? DEFAULT_LOG_RATE,
    finalizers: metadata.finalizers ?? [],
    generation: metadata.generation ?? 0,
  };
}

function ruleOf(rule: SecurityGroupRule): GroupRule {
  const { remoteAddress = '', remoteSecurityGroup = '', localAddress = '' } = rule;
  const ports = portsOf(rule.portRangeMin, rule.portRangeMax);
  const sourcePorts = portsOf(rule.sourcePortRangeMin, rule.sourcePortRangeMax);
  return {
    family: rule.ipVersion === 'ipv4' ? 4 : 6,
    protocol: rule.protocol,
    priority: rule.priority,
    remote: rule.remoteType === 'address' ? { cidr: block(remoteAddress) } : { group: remoteSecurityGroup },
    ...(localAddress === '' ? {} : { local: block(localAddress) }),
    ...(ports === undefined ? {} : { ports }),
    ...(sourcePorts === undefined ? {} : { sourcePorts }),
    policy: rule.policy,
    log: rule.log ?? false,
  };
}

const portsOf = (from: number | undefined, to: number | undefined): Ports | undefined =>
  from === undefined || to === undefined ? undefined : { from, to };

const block = (text: string): string =>
  parseCidr(text.includes('/') ? text : `${text}/${text.includes(':') ? 128 : 32}`);
