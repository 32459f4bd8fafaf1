/** Small rules of kinds that are mostly just stored: ConfigMaps, Secrets, Events, EndpointSlices, policies, bindings. */
import { type Cause, forbiddenField, invalidValue, notSupported, requiredValue } from './api-error.ts';
import {
  at,
  equal,
  isObject,
  type JsonObject,
  type KubeObject,
  objectOf,
  objectsOf,
  setDefault,
  stringOf,
  textOf,
} from './json.ts';
import type { Strategy } from './resource.ts';

function immutableData(draft: KubeObject, old: KubeObject | undefined): Cause[] {
  if (old?.['immutable'] !== true) return [];
  const causes: Cause[] = [];
  for (const key of ['data', 'binaryData', 'immutable']) {
    if (!equal(draft[key], old[key])) causes.push(forbiddenField(key, 'field is immutable when `immutable` is set'));
  }
  return causes;
}

function stringMap(draft: KubeObject, key: string): Cause[] {
  const data = draft[key];
  if (data === undefined || data === null) return [];
  if (!isObject(data)) return [invalidValue(key, data, 'must be a map of strings')];
  return Object.entries(data)
    .filter(([name, value]) => typeof value !== 'string' || !/^[-._a-zA-Z0-9]+$/.test(name))
    .map(([name, value]) =>
      typeof value === 'string'
        ? invalidValue(
            `${key}[${name}]`,
            name,
            "a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
          )
        : invalidValue(`${key}[${name}]`, value, 'must be a string'),
    );
}

const configMap: Strategy = {
  validate: (draft, old) => [
    ...stringMap(draft, 'data'),
    ...stringMap(draft, 'binaryData'),
    ...immutableData(draft, old),
  ],
};

function secretDefaults(draft: KubeObject): void {
  setDefault(draft, 'type', 'Opaque');
  const plain = draft['stringData'];
  if (!isObject(plain)) return;
  const data = { ...objectOf(draft['data']) };
  for (const [key, value] of Object.entries(plain)) data[key] = Buffer.from(textOf(value)).toString('base64');
  draft['data'] = data;
  delete draft['stringData'];
}

const secret: Strategy = {
  prepareCreate: secretDefaults,
  prepareUpdate: (draft, old) => {
    setDefault(draft, 'type', old['type']);
    secretDefaults(draft);
  },
  validate: (draft, old) => {
    const causes = [...stringMap(draft, 'data'), ...immutableData(draft, old)];
    if (old !== undefined && draft['type'] !== old['type'])
      causes.push(invalidValue('type', draft['type'], 'field is immutable'));
    for (const [key, value] of Object.entries(objectOf(draft['data']))) {
      if (typeof value === 'string' && !/^[A-Za-z0-9+/]*={0,2}$/.test(value)) {
        causes.push(invalidValue(`data[${key}]`, '<omitted>', 'must be base64'));
      }
    }
    return causes;
  },
};

const event: Strategy = {
  validate: (draft) => {
    const involved = stringOf(at(draft, 'involvedObject', 'namespace')) ?? '';
    const namespace = draft.metadata.namespace ?? '';
    if (involved !== namespace && !(involved === '' && namespace === 'default')) {
      return [invalidValue('involvedObject.namespace', involved, 'does not match event.namespace')];
    }
    return [];
  },
};

const ADDRESS_TYPES = ['FQDN', 'IPv4', 'IPv6'];

function sliceDefaults(draft: KubeObject): void {
  for (const port of objectsOf(draft['ports'])) {
    setDefault(port, 'name', '');
    setDefault(port, 'protocol', 'TCP');
  }
  if (!Array.isArray(draft['endpoints'])) draft['endpoints'] = [];
}

const endpointSlice: Strategy = {
  prepareCreate: sliceDefaults,
  prepareUpdate: sliceDefaults,
  validate: (draft, old) => {
    const type = draft['addressType'];
    if (!ADDRESS_TYPES.includes(stringOf(type) ?? '')) return [notSupported('addressType', type, ADDRESS_TYPES)];
    return old === undefined || old['addressType'] === type
      ? []
      : [invalidValue('addressType', type, 'field is immutable')];
  },
};

function policyDefaults(draft: KubeObject): void {
  const spec = objectOf(draft['spec']);
  draft['spec'] = spec;
  setDefault(spec, 'podSelector', {});
  const egress = Array.isArray(spec['egress']) && (spec['egress'] as unknown[]).length > 0;
  if (!Array.isArray(spec['policyTypes'])) spec['policyTypes'] = egress ? ['Ingress', 'Egress'] : ['Ingress'];
  for (const rule of [...objectsOf(spec['ingress']), ...objectsOf(spec['egress'])]) {
    for (const port of objectsOf(rule['ports'])) setDefault(port, 'protocol', 'TCP');
  }
}

function validatePeer(peer: JsonObject, field: string): Cause[] {
  const block = peer['ipBlock'];
  if (isObject(block)) {
    if (peer['podSelector'] !== undefined || peer['namespaceSelector'] !== undefined) {
      return [forbiddenField(field, 'may not specify both ipBlock and another peer')];
    }
    const cidr = stringOf(block['cidr']) ?? '';
    if (cidr === '') return [requiredValue(`${field}.ipBlock.cidr`)];
    if (!cidr.includes('/'))
      return [
        invalidValue(`${field}.ipBlock.cidr`, cidr, 'must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)'),
      ];
  } else if (peer['podSelector'] === undefined && peer['namespaceSelector'] === undefined) {
    return [requiredValue(field, 'must specify a peer')];
  }
  return [];
}

const networkPolicy: Strategy = {
  prepareCreate: policyDefaults,
  prepareUpdate: policyDefaults,
  validate: (draft) => {
    const causes: Cause[] = [];
    for (const [direction, side] of [
      ['ingress', 'from'],
      ['egress', 'to'],
    ] as const) {
      objectsOf(at(draft, 'spec', direction)).forEach((rule, index) => {
        objectsOf(rule[side]).forEach((peer, number) => {
          causes.push(...validatePeer(peer, `spec.${direction}[${index}].${side}[${number}]`));
        });
        objectsOf(rule['ports']).forEach((port, number) => {
          const field = `spec.${direction}[${index}].ports[${number}]`;
          if (!['SCTP', 'TCP', 'UDP'].includes(stringOf(port['protocol']) ?? '')) {
            causes.push(notSupported(`${field}.protocol`, port['protocol'], ['SCTP', 'TCP', 'UDP']));
          }
          if (port['endPort'] !== undefined && typeof port['port'] !== 'number') {
            causes.push(
              forbiddenField(`${field}.endPort`, 'may not be specified when `port` is non-numeric or not specified'),
            );
          }
        });
      });
    }
    return causes;
  },
};

function bindingDefaults(draft: KubeObject): void {
  const reference = draft['roleRef'];
  if (isObject(reference)) setDefault(reference, 'apiGroup', 'rbac.authorization.k8s.io');
  for (const subject of objectsOf(draft['subjects'])) {
    if (subject['kind'] === 'User' || subject['kind'] === 'Group')
      setDefault(subject, 'apiGroup', 'rbac.authorization.k8s.io');
  }
}

const binding: Strategy = {
  prepareCreate: bindingDefaults,
  prepareUpdate: bindingDefaults,
  validate: (draft, old) => {
    if ((stringOf(at(draft, 'roleRef', 'name')) ?? '') === '') return [requiredValue('roleRef.name')];
    if (old !== undefined && !equal(old['roleRef'], draft['roleRef'])) {
      return [invalidValue('roleRef', draft['roleRef'], 'cannot change roleRef')];
    }
    return [];
  },
};

const node: Strategy = {
  validate: (draft) => {
    const causes: Cause[] = [];
    objectsOf(at(draft, 'spec', 'taints')).forEach((taint, index) => {
      const effects = ['NoExecute', 'NoSchedule', 'PreferNoSchedule'];
      if (!effects.includes(stringOf(taint['effect']) ?? '')) {
        causes.push(notSupported(`spec.taints[${index}].effect`, taint['effect'], effects));
      }
    });
    return causes;
  },
  prepareCreate: (draft) => {
    draft['spec'] ??= {};
  },
};

/** Strategies by resource. */
export const plainStrategies: Readonly<Record<string, Strategy>> = {
  configmaps: configMap,
  secrets: secret,
  events: event,
  nodes: node,
  'endpointslices.discovery.k8s.io': endpointSlice,
  'networkpolicies.networking.k8s.io': networkPolicy,
  'clusterrolebindings.rbac.authorization.k8s.io': binding,
  'rolebindings.rbac.authorization.k8s.io': binding,
};
