import type { DesiredRow } from '../../controller/src/northbound/rows.ts';
import { type Match, type MatchNames, type Packet, readMatch } from './ovn-match.ts';

/** Rows of a northbound database. */
export interface PolicyRows {
  rows(table: string): readonly Pick<DesiredRow, 'uuid' | 'columns'>[];
  /** Set members, as `table uuid column value`. */
  members(): readonly string[];
}

type Direction = 'from-lport' | 'to-lport';

interface Acl {
  readonly priority: number;
  readonly action: string;
  readonly match: Match;
}

/** The ACLs that a controller wrote, evaluated without OVN. */
export class CompiledPolicies {
  /** By direction and tier, those of highest priority first. */
  readonly #acls: Readonly<Record<Direction, readonly (readonly Acl[])[]>>;
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
    const acls = sink.rows('ACL').map((row) => ({
      direction: text(row, 'direction'),
      tier: Number(row.columns['tier'] ?? 0),
      priority: Number(row.columns['priority']),
      action: text(row, 'action'),
      match: this.#read(text(row, 'match')),
    }));
    acls.sort((a, b) => b.priority - a.priority);
    const of = (direction: Direction): readonly (readonly Acl[])[] =>
      [0, 1, 2, 3].map((tier) => acls.filter((acl) => acl.direction === direction && acl.tier === tier));
    this.#acls = { 'from-lport': of('from-lport'), 'to-lport': of('to-lport') };
  }

  /** ovn-controller drops a match with a name that leads nowhere. */
  #read(expression: string): Match {
    const match = readMatch(expression);
    const missing = [
      ...match.addressSets.filter((name) => !this.#names.addressSets.has(name)),
      ...match.portGroups.filter((name) => !this.#names.portGroups.has(name)),
    ];
    if (missing.length > 0) throw new Error(`${missing.join(', ')} does not exist: ${expression}`);
    return match;
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
  #passes(direction: Direction, packet: Packet): boolean {
    for (const tier of this.#acls[direction]) {
      const action = this.#decides(tier, packet);
      if (action !== undefined && action !== 'pass') return action !== 'drop';
    }
    return true;
  }

  #decides(acls: readonly Acl[], packet: Packet): string | undefined {
    let decided: Acl | undefined;
    for (const acl of acls) {
      if (decided !== undefined && acl.priority < decided.priority) break;
      if (!acl.match.test(packet, this.#names)) continue;
      if (decided !== undefined && acl.action !== decided.action)
        throw new Error(`two ACLs of priority ${acl.priority} contradict each other`);
      decided = acl;
    }
    return decided?.action;
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
