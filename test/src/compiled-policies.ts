import type { DesiredRow } from '../../controller/src/northbound/rows.ts';
import { type MatchNames, matches, type Packet } from './ovn-match.ts';

/** Rows of a northbound database. */
export interface PolicyRows {
  rows(table: string): readonly Pick<DesiredRow, 'uuid' | 'columns'>[];
  /** Set members, as `table uuid column value`. */
  members(): readonly string[];
}

/** The ACLs that a controller wrote, evaluated without OVN. */
export class CompiledPolicies {
  readonly #acls: readonly Pick<DesiredRow, 'uuid' | 'columns'>[];
  readonly #names: MatchNames;
  /** Actions of the ACLs of each switch. */
  readonly #actions: ReadonlyMap<string, ReadonlySet<string>>;

  /** Reads rows and memberships once. */
  constructor(sink: PolicyRows) {
    const ports = new Map(sink.rows('Logical_Switch_Port').map((row) => [row.uuid, text(row, 'name')]));
    const hosts = new Map(sink.rows('Logical_Switch_Port').map((row) => [row.uuid, addressesOf(row)]));
    const members = new Map<string, string[]>();
    for (const member of sink.members()) {
      const [, uuid = '', , value = ''] = member.split(' ');
      members.set(uuid, [...(members.get(uuid) ?? []), value]);
    }
    this.#acls = [...sink.rows('ACL')].sort((a, b) => Number(b.columns['priority']) - Number(a.columns['priority']));
    const actions = new Map(sink.rows('ACL').map((row) => [row.uuid, text(row, 'action')]));
    const groups = sink.rows('Port_Group').map(({ uuid }) => new Set(members.get(uuid)));
    this.#actions = new Map(
      sink.rows('Logical_Switch').map((row) => {
        const own = members.get(row.uuid) ?? [];
        const around = groups.filter((group) => own.some((uuid) => ports.has(uuid) && group.has(uuid)));
        const acls = [...own, ...around.flatMap((group) => [...group])];
        return [text(row, 'name'), new Set(acls.map((uuid) => actions.get(uuid) ?? ''))];
      }),
    );
    this.#names = {
      addressSets: new Map([
        ...sink.rows('Address_Set').map((row) => [text(row, 'name'), members.get(row.uuid) ?? []] as const),
        ...sink.rows('Port_Group').flatMap((row) => derivedSets(text(row, 'name'), members.get(row.uuid) ?? [], hosts)),
      ]),
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

  /**
   * Whether a new connection passes the ACLs of both ends.
   * @param from port of the sender, absent for a node
   * @param to port of the receiver, absent for a node and for what is outside
   */
  allows(from: string | undefined, to: string | undefined, packet: Packet): boolean {
    const leaves = from === undefined || this.#passes('from-lport', { ...packet, inport: from });
    return leaves && (to === undefined || this.#passes('to-lport', { ...packet, outport: to }));
  }

  /**
   * Switches that drop packets and track no connection, so that answers are dropped as well: OVN tracks those of a switch when
   * some ACL there is `allow-related` (ovn-northd.c, `ls_get_acl_flags`).
   */
  untracked(): readonly string[] {
    return [...this.#actions]
      .filter(([, actions]) => actions.has('drop') && !actions.has('allow-related'))
      .map(([name]) => `${name} drops packets and tracks no connections`);
  }

  /**
   * Tier by tier, the matching ACL of highest priority decides; `pass`, or none that matches, leads to the next tier, and
   * behind the last one the packet passes (ovn-nb(5), ACL; an OVN without tiers has one).
   */
  #passes(direction: 'from-lport' | 'to-lport', packet: Packet): boolean {
    for (const tier of [0, 1, 2, 3]) {
      const action = this.#decides(direction, tier, packet);
      if (action !== undefined && action !== 'pass') return action !== 'drop';
    }
    return true;
  }

  #decides(direction: 'from-lport' | 'to-lport', tier: number, packet: Packet): string | undefined {
    let priority = -1;
    let verdict: string | undefined;
    for (const row of this.#acls) {
      const { columns } = row;
      if (columns['direction'] !== direction || Number(columns['tier'] ?? 0) !== tier) continue;
      if (Number(columns['priority']) < priority) break;
      if (!matches(text(row, 'match'), packet, this.#names)) continue;
      const action = text(row, 'action');
      if (verdict !== undefined && action !== verdict)
        throw new Error(`two ACLs of priority ${priority} contradict each other`);
      priority = Number(columns['priority']);
      verdict = action;
    }
    return verdict;
  }
}

function text({ columns }: Pick<DesiredRow, 'columns'>, column: string): string {
  const value = columns[column];
  return typeof value === 'string' ? value : '';
}

/** The IP addresses of a port: its column holds `MAC IP ...`. */
function addressesOf({ columns }: Pick<DesiredRow, 'columns'>): readonly string[] {
  const { addresses } = columns;
  return Array.isArray(addresses) ? addresses.flatMap((entry) => String(entry).split(' ').slice(1)) : [];
}

/** The Address_Sets that northd derives from a Port_Group (ovn-nb(5), Address_Set). */
function derivedSets(
  name: string,
  members: readonly string[],
  hosts: ReadonlyMap<string, readonly string[]>,
): readonly (readonly [name: string, addresses: readonly string[]])[] {
  const all = members.flatMap((uuid) => hosts.get(uuid) ?? []);
  return ([4, 6] as const).map((family) => [
    `${name}_ip${family}`,
    all.filter((address) => address.includes(':') === (family === 6)),
  ]);
}
