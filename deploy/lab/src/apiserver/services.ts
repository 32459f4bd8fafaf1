/** Services: defaults, address families, allocation of addresses and node ports, validation. */
import { type Cause, duplicateValue, invalidValue, notSupported, requiredValue } from './api-error.ts';
import {
  at,
  clone,
  ensureObject,
  equal,
  type JsonObject,
  type KubeObject,
  listOf,
  numberOf,
  objectOf,
  objectsOf,
  setDefault,
  stringOf,
} from './json.ts';
import type { Strategy } from './resource.ts';
import { familyOf, type IpFamily, type ServiceAddresses } from './service-addresses.ts';

const PROTOCOLS = ['SCTP', 'TCP', 'UDP'];
const TYPES = ['ClusterIP', 'ExternalName', 'LoadBalancer', 'NodePort'];
const POLICIES = ['PreferDualStack', 'RequireDualStack', 'SingleStack'];

function strings(value: unknown): string[] {
  return listOf(value).filter((item) => typeof item === 'string');
}

function exposesNodePorts(spec: JsonObject): boolean {
  return (
    spec['type'] === 'NodePort' || (spec['type'] === 'LoadBalancer' && spec['allocateLoadBalancerNodePorts'] !== false)
  );
}

function defaults(spec: JsonObject): void {
  setDefault(spec, 'type', 'ClusterIP');
  setDefault(spec, 'sessionAffinity', 'None');
  if (spec['sessionAffinity'] === 'ClientIP') {
    setDefault(ensureObject(spec, 'sessionAffinityConfig', 'clientIP'), 'timeoutSeconds', 10_800);
  } else {
    delete spec['sessionAffinityConfig'];
  }
  for (const port of objectsOf(spec['ports'])) {
    setDefault(port, 'protocol', 'TCP');
    if (port['targetPort'] === undefined || port['targetPort'] === 0 || port['targetPort'] === '')
      port['targetPort'] = port['port'];
  }
  if (spec['type'] !== 'ExternalName') setDefault(spec, 'internalTrafficPolicy', 'Cluster');
  const external = spec['type'] === 'NodePort' || spec['type'] === 'LoadBalancer';
  if (external) setDefault(spec, 'externalTrafficPolicy', 'Cluster');
  else delete spec['externalTrafficPolicy'];
  if (spec['type'] === 'LoadBalancer') setDefault(spec, 'allocateLoadBalancerNodePorts', true);
  else delete spec['allocateLoadBalancerNodePorts'];
}

/** `clusterIP` is the first of `clusterIPs`; either may be given. */
function alignAddresses(spec: JsonObject): void {
  const single = stringOf(spec['clusterIP']) ?? '';
  if (spec['clusterIPs'] === undefined && single !== '') spec['clusterIPs'] = [single];
  const [first] = strings(spec['clusterIPs']);
  if (single === '' && first !== undefined && first !== '') spec['clusterIP'] = first;
}

/** Sets `ipFamilies` and `ipFamilyPolicy` (KEP-563). */
function families(spec: JsonObject, available: readonly IpFamily[]): void {
  const addresses = strings(spec['clusterIPs']);
  const headless = addresses[0] === 'None';
  const given = strings(spec['ipFamilies']);
  const fromAddresses = headless ? [] : addresses.filter((item) => item !== '' && /^[0-9a-fA-F:.]+$/.test(item));
  const wanted = [...given];
  for (const [index, address] of fromAddresses.entries()) {
    if (wanted[index] === undefined) wanted.push(address.includes(':') ? 'IPv6' : 'IPv4');
  }
  const bare = Object.keys(objectOf(spec['selector'])).length === 0;
  if (spec['ipFamilyPolicy'] === undefined) {
    const dual = wanted.length > 1 || (headless && bare && wanted.length === 0);
    spec['ipFamilyPolicy'] = dual ? 'RequireDualStack' : 'SingleStack';
  }
  if (wanted.length === 0 && available[0] !== undefined) wanted.push(available[0]);
  if (spec['ipFamilyPolicy'] !== 'SingleStack' && wanted.length === 1) {
    const other = wanted[0] === 'IPv4' ? 'IPv6' : 'IPv4';
    if (available.includes(other) || (headless && bare)) wanted.push(other);
  }
  spec['ipFamilies'] = wanted;
}

function validatePorts(spec: JsonObject): Cause[] {
  const causes: Cause[] = [];
  const ports = objectsOf(spec['ports']);
  if (ports.length === 0 && spec['type'] !== 'ExternalName' && spec['clusterIP'] !== 'None') {
    causes.push(requiredValue('spec.ports'));
  }
  const names = new Set<unknown>();
  const numbers = new Set<string>();
  ports.forEach((port, index) => {
    const field = `spec.ports[${index}]`;
    const name = stringOf(port['name']) ?? '';
    if (name === '' && ports.length > 1) causes.push(requiredValue(`${field}.name`));
    else if (name !== '' && !/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(name)) {
      causes.push(
        invalidValue(
          `${field}.name`,
          name,
          "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-'",
        ),
      );
    }
    if (name !== '' && names.has(name)) causes.push(duplicateValue(`${field}.name`, name));
    names.add(name);
    const number = numberOf(port['port']);
    if (number === undefined || !Number.isInteger(number) || number < 1 || number > 65535) {
      causes.push(invalidValue(`${field}.port`, port['port'] ?? 0, 'must be between 1 and 65535, inclusive'));
    }
    if (!PROTOCOLS.includes(stringOf(port['protocol']) ?? '')) {
      causes.push(notSupported(`${field}.protocol`, port['protocol'], PROTOCOLS));
    }
    const target = port['targetPort'];
    if (typeof target === 'number' && (!Number.isInteger(target) || target < 1 || target > 65535)) {
      causes.push(invalidValue(`${field}.targetPort`, target, 'must be between 1 and 65535, inclusive'));
    }
    const key = `${String(port['protocol'])}/${String(number)}`;
    if (numbers.has(key)) causes.push(duplicateValue(field, { port: number, protocol: port['protocol'] }));
    numbers.add(key);
  });
  return causes;
}

/** The strategy of Services over a pool of addresses. */
export class ServiceStrategy implements Strategy {
  readonly #pool: ServiceAddresses;
  #problems: Cause[] = [];

  constructor(pool: ServiceAddresses) {
    this.#pool = pool;
  }

  readonly prepareCreate = (draft: KubeObject): void => {
    const spec = ensureObject(draft, 'spec');
    this.#problems = [];
    defaults(spec);
    draft['status'] = { loadBalancer: {} };
    if (draft.metadata.name === 'kubernetes' && draft.metadata.namespace === 'default')
      spec['clusterIP'] ??= this.#pool.first;
    this.#allocate(spec, undefined);
  };

  readonly prepareUpdate = (draft: KubeObject, old: KubeObject, { subresource }: { subresource: string }): void => {
    this.#problems = [];
    if (subresource !== '') return;
    const spec = ensureObject(draft, 'spec');
    const before = objectOf(old['spec']);
    defaults(spec);
    if (before['type'] !== 'ExternalName' && spec['type'] !== 'ExternalName') {
      for (const key of ['clusterIP', 'clusterIPs', 'ipFamilies', 'ipFamilyPolicy']) {
        if (spec[key] === undefined || spec[key] === '') spec[key] = clone(before[key]);
      }
    }
    if (!exposesNodePorts(spec) && exposesNodePorts(before)) {
      const kept = new Set(objectsOf(before['ports']).map((port) => port['nodePort']));
      for (const port of objectsOf(spec['ports'])) if (kept.has(port['nodePort'])) delete port['nodePort'];
    }
    this.#allocate(spec, before);
  };

  readonly validate = (draft: KubeObject, old: KubeObject | undefined): Cause[] => {
    const spec = objectOf(draft['spec']);
    const causes: Cause[] = [];
    if (!TYPES.includes(stringOf(spec['type']) ?? '')) causes.push(notSupported('spec.type', spec['type'], TYPES));
    if (spec['type'] === 'ExternalName' && (stringOf(spec['externalName']) ?? '') === '') {
      causes.push(requiredValue('spec.externalName'));
    }
    const policy = spec['ipFamilyPolicy'];
    if (policy !== undefined && !POLICIES.includes(stringOf(policy) ?? '')) {
      causes.push(notSupported('spec.ipFamilyPolicy', policy, POLICIES));
    }
    if (!['ClientIP', 'None'].includes(stringOf(spec['sessionAffinity']) ?? '')) {
      causes.push(notSupported('spec.sessionAffinity', spec['sessionAffinity'], ['ClientIP', 'None']));
    }
    causes.push(...validatePorts(spec));
    const before = stringOf(at(old, 'spec', 'clusterIP')) ?? '';
    if (before !== '' && spec['type'] !== 'ExternalName' && spec['clusterIP'] !== before) {
      causes.push(invalidValue('spec.clusterIPs[0]', spec['clusterIP'], 'may not change once set'));
    }
    return [...causes, ...this.#problems];
  };

  readonly committed = (draft: KubeObject | undefined, old: KubeObject | undefined): void => {
    if (old !== undefined) this.#pool.release(old);
    if (draft !== undefined) this.#pool.take(draft);
  };

  #allocate(spec: JsonObject, before: JsonObject | undefined): void {
    if (spec['type'] === 'ExternalName') {
      for (const key of ['clusterIP', 'clusterIPs', 'ipFamilies', 'ipFamilyPolicy']) delete spec[key];
      return;
    }
    alignAddresses(spec);
    if (spec['ipFamilyPolicy'] === 'SingleStack') {
      // A way back from dual-stack: the second family and address go.
      for (const key of ['ipFamilies', 'clusterIPs'])
        if (before !== undefined) spec[key] = listOf(spec[key]).slice(0, 1);
    }
    const available = this.#pool.families;
    families(spec, available);
    const wanted = strings(spec['ipFamilies']);
    if (strings(spec['clusterIPs'])[0] !== 'None') {
      if (spec['ipFamilyPolicy'] === 'RequireDualStack' && available.length < 2) {
        this.#problems.push(
          invalidValue(
            'spec.ipFamilyPolicy',
            'RequireDualStack',
            'this cluster is not configured for dual-stack services',
          ),
        );
        return;
      }
      const missing = wanted.find((family) => !available.includes(family as IpFamily));
      if (missing !== undefined) {
        this.#problems.push(invalidValue('spec.ipFamilies[0]', missing, 'not configured on this cluster'));
        return;
      }
      this.#allocateAddresses(spec, wanted, strings(before?.['clusterIPs']));
    }
    this.#allocateNodePorts(spec, before);
  }

  #allocateAddresses(spec: JsonObject, wanted: readonly string[], held: readonly string[]): void {
    const given = strings(spec['clusterIPs']);
    const addresses: string[] = [];
    for (const [index, family] of wanted.entries()) {
      const asked = given[index] ?? '';
      if (asked === '') {
        const free = this.#pool.allocate(family as IpFamily);
        if (free === undefined) {
          this.#problems.push({
            reason: 'InternalError',
            field: 'spec.clusterIPs',
            message: `failed to allocate a serviceIP: the ${family} range is full`,
          });
          return;
        }
        addresses.push(free);
        continue;
      }
      const problem = held.includes(asked) ? undefined : this.#pool.problem(asked);
      if (problem !== undefined) this.#problems.push(invalidValue('spec.clusterIPs', given, problem));
      else if (familyOf(asked) !== family) {
        this.#problems.push(
          invalidValue(
            `spec.clusterIPs[${index}]`,
            asked,
            `expected an ${family} value as indicated by \`ipFamilies[${index}]\``,
          ),
        );
      }
      addresses.push(asked);
    }
    spec['clusterIPs'] = addresses;
    spec['clusterIP'] = addresses[0];
  }

  #allocateNodePorts(spec: JsonObject, before: JsonObject | undefined): void {
    const ports = objectsOf(spec['ports']);
    const old = objectsOf(before?.['ports']);
    const held = new Set(old.map((port) => `${String(port['protocol'])}/${String(port['nodePort'])}`));
    const chosen = new Set<string>();
    ports.forEach((port, index) => {
      const protocol = String(port['protocol']);
      const asked = numberOf(port['nodePort']);
      if (asked !== undefined && asked !== 0) {
        const problem = held.has(`${protocol}/${asked}`) ? undefined : this.#pool.nodePortProblem(protocol, asked);
        if (problem !== undefined) this.#problems.push(invalidValue(`spec.ports[${index}].nodePort`, asked, problem));
      } else if (exposesNodePorts(spec)) {
        const same = old.find((item) => item['protocol'] === port['protocol'] && equal(item['port'], port['port']));
        const number = numberOf(same?.['nodePort']) ?? this.#pool.allocateNodePort(protocol, chosen);
        if (number !== undefined) port['nodePort'] = number;
      } else {
        delete port['nodePort'];
      }
      chosen.add(`${protocol}/${String(port['nodePort'])}`);
    });
  }
}
