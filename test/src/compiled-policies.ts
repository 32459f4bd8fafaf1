import type { DesiredRow } from '../../controller/src/northbound/rows.ts';
import type { MemorySink } from '../../controller/src/testing/memory-sink.ts';
import { type MatchNames, matches, type Packet } from './ovn-match.ts';

/** The ACLs that a controller wrote, evaluated without OVN. */
export class CompiledPolicies {
  readonly #acls: readonly DesiredRow[];
  readonly #names: MatchNames;

  /** Reads rows and memberships once. */
  constructor(sink: MemorySink) {
    const ports = new Map(sink.rows('Logical_Switch_Port').map((row) => [row.uuid, text(row, 'name')]));
    const members = new Map<string, string[]>();
    for (const member of sink.members()) {
      const [, uuid = '', , value = ''] = member.split(' ');
      members.set(uuid, [...(members.get(uuid) ?? []), value]);
    }
    this.#acls = sink.rows('ACL').sort((a, b) => Number(b.columns['priority']) - Number(a.columns['priority']));
    this.#names = {
      addressSets: new Map(sink.rows('Address_Set').map((row) => [text(row, 'name'), members.get(row.uuid) ?? []])),
      portGroups: new Map(
        sink
          .rows('Port_Group')
          .map((row) => [
            text(row, 'name'),
            new Set((members.get(row.uuid) ?? []).map((uuid) => ports.get(uuid) ?? '')),
          ]),
      ),
    };
  }

  /** Whether a new connection passes the ACLs of both ends. @param from port of the sender, absent for a node */
  allows(from: string | undefined, to: string, packet: Packet): boolean {
    const leaves = from === undefined || this.#passes('from-lport', { ...packet, inport: from });
    return leaves && this.#passes('to-lport', { ...packet, outport: to });
  }

  /** The matching ACL of highest priority decides; without one the packet passes (ovn-nb(5), ACL). */
  #passes(direction: 'from-lport' | 'to-lport', packet: Packet): boolean {
    let priority = -1;
    let verdict = true;
    for (const row of this.#acls) {
      const { columns } = row;
      if (columns['direction'] !== direction) continue;
      if (Number(columns['priority']) < priority) break;
      if (!matches(text(row, 'match'), packet, this.#names)) continue;
      const allow = columns['action'] !== 'drop';
      if (priority >= 0 && allow !== verdict) throw new Error(`two ACLs of priority ${priority} contradict each other`);
      priority = Number(columns['priority']);
      verdict = allow;
    }
    return verdict;
  }
}

function text({ columns }: DesiredRow, column: string): string {
  const value = columns[column];
  return typeof value === 'string' ? value : '';
}
