import type { NamedContainerPort, PodSet } from '../policy/model.ts';
import { selectorText } from '../policy/selector.ts';
import type { CompileContext } from './context.ts';
import type { UnitDefinition } from './engine.ts';
import { nodeSetName, peerSetName } from './names.ts';

/** A set of pods that policies refer to → its row; the members come from the pods' units. */
export function podSetUnit(context: CompileContext): UnitDefinition {
  return {
    kind: 'PodSet',
    rank: 2,
    lane: 'bulk',
    compile(id, reader) {
      const set = reader.get('PodSet', id);
      // The group of a policy's own pods is a row of the policy, and likewise for a SecurityGroup.
      if (set === undefined || set.holds === 'policy' || set.holds === 'group') return [];
      const rows = context.builder('PodSet', id);
      const ids = {
        'ovenbird/namespaces': set.namespace ?? selectorText(set.namespaces ?? []),
        'ovenbird/pods': selectorText(set.pods),
        ...(set.port === undefined ? {} : { 'ovenbird/port': portText(set.port) }),
        ...(set.ports === undefined ? {} : { 'ovenbird/ports': set.ports.map((port) => portText(port)).join(' and ') }),
        ...(set.not === undefined ? {} : { 'ovenbird/without': set.not.map((not) => exclusionText(not)).join('; ') }),
        ...(set.vpc === undefined ? {} : { vpc: set.vpc }),
      };
      if (set.holds === 'subjects') {
        const name = context.podSetGroupName(set);
        rows.row('Port_Group', name, { name }, ids);
      } else {
        for (const family of [4, 6] as const) {
          const name = peerSetName(id, family);
          rows.row('Address_Set', name, { name }, ids);
        }
      }
      return rows.outputs;
    },
  };
}

/** A set of nodes that cluster policies refer to → its rows; the members come from the nodes' units. */
export function nodeSetUnit(context: CompileContext): UnitDefinition {
  return {
    kind: 'NodeSet',
    rank: 2,
    lane: 'bulk',
    compile(id, reader) {
      const set = reader.get('NodeSet', id);
      if (set === undefined) return [];
      const rows = context.builder('NodeSet', id);
      const not = set.not.map((excluded) => `not(${selectorText(excluded)})`);
      const ids = { 'ovenbird/nodes': [selectorText(set.nodes), ...not].join(' ') };
      for (const family of [4, 6] as const) {
        const name = nodeSetName(id, family);
        rows.row('Address_Set', name, { name }, ids);
      }
      return rows.outputs;
    },
  };
}

/** A block with addresses of nodes → the Address_Set of these nodes' addresses on the join subnet. */
export function nodeBlockUnit(context: CompileContext): UnitDefinition {
  return {
    kind: 'NodeBlock',
    rank: 2,
    lane: 'bulk',
    compile(id, reader) {
      const block = reader.get('NodeBlock', id);
      if (block === undefined) return [];
      const rows = context.builder('NodeBlock', id);
      const set = context.nodeBlock(block);
      rows.row('Address_Set', set.name, { name: set.name }, { cidr: block.cidrs.join(',') });
      return rows.outputs;
    },
  };
}

const portText = ({ name, protocol, number }: NamedContainerPort): string => `${name} ${protocol}/${number}`;

const exclusionText = ({ namespaces, pods, ports }: NonNullable<PodSet['not']>[number]): string =>
  [`${selectorText(namespaces)} / ${selectorText(pods)}`, ...ports.map((port) => portText(port))].join(' with ');
