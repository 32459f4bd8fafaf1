import { isCidr, isIp, parseCidr, parseIp } from '@ovenbird/crds';

type Spec = Readonly<Record<string, unknown>>;

/** Label by which pods get an imported policy, once somebody puts it on them. */
const qosLabel = 'ovenbird.io/qos-policy';

/**
 * A QoSPolicy of Kube-OVN limits an EIP or a NAT gateway, of which there are none here; ours limits pods. The rates are carried
 * over, for pods with a label that none has yet.
 * @param say what is not carried over
 */
export function qosSpec(name: string, spec: Spec, say: (field: string, why: string) => void): Spec | undefined {
  const rules = Array.isArray(spec['bandwidthLimitRules']) ? (spec['bandwidthLimitRules'] as readonly Spec[]) : [];
  const result: { ingress: Spec[]; egress: Spec[] } = { ingress: [], egress: [] };
  rules
    .map((rule, index) => ({ rule, field: `spec.bandwidthLimitRules[${index}]` }))
    // With equal priorities their order stays.
    .toSorted((a, b) => Number(a.rule['priority'] ?? 0) - Number(b.rule['priority'] ?? 0))
    .forEach(({ rule, field }) => {
      const direction = rule['direction'] === 'egress' ? 'egress' : 'ingress';
      const found = ruleOf(rule, direction, (why) => say(field, why));
      if (found !== undefined) result[direction].push(found);
    });
  if (result.ingress.length + result.egress.length === 0) {
    say('', 'not written: no rule of it has a counterpart');
    return undefined;
  }
  const binding = typeof spec['bindingType'] === 'string' ? spec['bindingType'] : '';
  say(
    'spec.bindingType',
    `${binding === '' ? 'an EIP or NAT gateway' : binding} has no counterpart: the policy is for pods with the label ${qosLabel}=${name}, which none has yet`,
  );
  return {
    ...(spec['shared'] === true ? { shared: true } : {}),
    appliesTo: [{ podSelector: { matchLabels: { [qosLabel]: name } } }],
    ...(result.ingress.length > 0 ? { ingress: result.ingress } : {}),
    ...(result.egress.length > 0 ? { egress: result.egress } : {}),
  };
}

/** Mbit/s and megabytes become bits. */
function ruleOf(rule: Spec, direction: 'ingress' | 'egress', say: (why: string) => void): Spec | undefined {
  const rate = wholeKbit(rule['rateMax'], 1);
  if (rate === undefined) {
    say('rateMax is no number of Mbit/s');
    return undefined;
  }
  const burst = wholeKbit(rule['burstMax'], 8);
  const value = typeof rule['matchValue'] === 'string' ? rule['matchValue'].trim() : '';
  if (value === '') return { rate, ...(burst === undefined ? {} : { burst }) };
  const [side = '', cidr = ''] = value.split(/\s+/);
  // The other side sends what comes in, and gets what goes out.
  if (side !== (direction === 'ingress' ? 'src' : 'dst') || (!isCidr(cidr) && !isIp(cidr))) {
    say(`matchValue "${value.slice(0, 60)}" is not about the addresses of the other side`);
    return undefined;
  }
  const whole = isIp(cidr) ? `${parseIp(cidr)}/${cidr.includes(':') ? 128 : 32}` : parseCidr(cidr);
  return { rate, ...(burst === undefined ? {} : { burst }), cidrs: [whole] };
}

function wholeKbit(value: unknown, bitsEach: number): string | undefined {
  const number = typeof value === 'string' || typeof value === 'number' ? Number(value) : Number.NaN;
  const kbit = Math.round(number * 1000 * bitsEach);
  if (!Number.isFinite(kbit) || kbit <= 0) return undefined;
  return kbit % 1000 === 0 ? `${kbit / 1000}M` : `${kbit}k`;
}
