import { cidrContains, parseIp } from '@ovenbird/crds';

/** A packet, as far as policies look at it. */
export interface Packet {
  /** Name of the port it comes from, or goes to; which one depends on the pipeline. */
  readonly inport?: string;
  readonly outport?: string;
  readonly source: string;
  readonly destination: string;
  /** Without one it is ICMP. */
  readonly protocol?: 'tcp' | 'udp' | 'sctp' | 'gre';
  /** Destination port. */
  readonly port?: number;
  /** 40000 when absent. */
  readonly sourcePort?: number;
}

/** Where names in a match lead to. A name that leads nowhere makes ovn-controller drop the whole match: an error here. */
export interface MatchNames {
  readonly addressSets: ReadonlyMap<string, readonly string[]>;
  readonly portGroups: ReadonlyMap<string, ReadonlySet<string>>;
}

/** A match, read once for all its packets. */
export interface Match {
  /** Names that it needs. */
  readonly addressSets: readonly string[];
  readonly portGroups: readonly string[];
  /** @throws Error for a name that leads nowhere, and for a port that the packet's pipeline does not have */
  test(packet: Packet, names: MatchNames): boolean;
}

type Test = Match['test'];
/** Whether a field's text in this packet is one of an operand's values. */
type Operand = (is: (one: string) => boolean, names: MatchNames) => boolean;

const tokens =
  /\s*(\|\||&&|==|!=|<=|>=|<|>|[!(){},]|"[^"]*"|[@$][\w.]+|[0-9a-fA-F]*:[0-9a-fA-F:.]*(?:\/\d+)?|\d[\d.]*(?:\/\d+)?|[A-Za-z_][\w.]*)/y;

const known = new Map<string, Match>();

/**
 * Reads the part of OVN's match language (ovn-sb(5), "Expressions") that policies are written in, without anything of
 * ovn-controller: comparisons of ports, addresses and transport ports with literals, lists, `$sets` and `@groups`.
 * @throws Error for anything else
 */
export function readMatch(expression: string): Match {
  const before = known.get(expression);
  if (before !== undefined) return before;
  const match = new Reader(expression).read();
  known.set(expression, match);
  return match;
}

function tokenize(expression: string): readonly string[] {
  const found: string[] = [];
  tokens.lastIndex = 0;
  while (tokens.lastIndex < expression.trimEnd().length) {
    const token = tokens.exec(expression)?.[1];
    if (token === undefined) throw new Error(`not a match: ${expression}`);
    found.push(token);
  }
  return found;
}

const comparisons = new Set(['==', '!=', '<', '<=', '>', '>=']);
const protocols = { tcp: 6, udp: 17, sctp: 132, gre: 47 } as const;

class Reader {
  readonly #tokens: readonly string[];
  readonly #expression: string;
  readonly #addressSets = new Set<string>();
  readonly #portGroups = new Set<string>();
  #at = 0;

  constructor(expression: string) {
    this.#tokens = tokenize(expression);
    this.#expression = expression;
  }

  read(): Match {
    const test = this.#any();
    if (this.#at < this.#tokens.length) throw this.#error(`unexpected "${this.#peek()}"`);
    return { test, addressSets: [...this.#addressSets], portGroups: [...this.#portGroups] };
  }

  /** Mixing && and || without parentheses is an error in OVN too. */
  #any(): Test {
    const terms = [this.#term()];
    const joint = this.#peek();
    if (joint === '&&' || joint === '||') while (this.#skip(joint)) terms.push(this.#term());
    if (this.#peek() === '&&' || this.#peek() === '||') throw this.#error('&& and || need parentheses');
    return joint === '&&'
      ? (packet, names) => terms.every((term) => term(packet, names))
      : (packet, names) => terms.some((term) => term(packet, names));
  }

  #term(): Test {
    const token = this.#take();
    if (token === '!') {
      const term = this.#term();
      return (packet, names) => !term(packet, names);
    }
    if (token === '(') {
      const inner = this.#any();
      if (this.#take() !== ')') throw this.#error('no closing parenthesis');
      return inner;
    }
    // A constant, as the only token of an operand; else the lower end of a range.
    if (/^[01]$/.test(token) && this.#peek() !== '<=') return () => token === '1';
    if (/^\d+$/.test(token)) return this.#range(Number(token));
    if (!comparisons.has(this.#peek() ?? '')) return this.#predicate(token);
    const operator = this.#take();
    return this.#compare(token, operator, this.#operand());
  }

  /** `1 <= tcp.dst <= 2` */
  #range(low: number): Test {
    if (this.#take() !== '<=') throw this.#error('a range is written low <= field <= high');
    const number = this.#number(this.#take());
    if (this.#take() !== '<=') throw this.#error('a range is written low <= field <= high');
    const high = Number(this.#take());
    return (packet) => {
      const value = number(packet);
      return value !== undefined && low <= value && value <= high;
    };
  }

  /** A list is met when one of its values is. */
  #operand(): Operand {
    const token = this.#take();
    const name = token.slice(1);
    if (token.startsWith('$')) {
      this.#addressSets.add(name);
      return (is, names) => this.#named(names.addressSets, name).some(is);
    }
    if (token.startsWith('@')) this.#portGroups.add(name);
    if (token !== '{') return (is) => is(token);
    const values: Operand[] = [];
    while (this.#peek() !== '}') {
      values.push(this.#operand());
      this.#skip(',');
    }
    this.#at += 1;
    return (is, names) => values.some((value) => value(is, names));
  }

  #predicate(name: string): Test {
    switch (name) {
      case 'ip':
        return () => true;
      case 'ip4':
      case 'ip6':
        return (packet) => isV6(packet) === (name === 'ip6');
      case 'tcp':
      case 'udp':
      case 'sctp':
        return (packet) => packet.protocol === name;
      case 'icmp4':
      case 'icmp6':
        return (packet) => packet.protocol === undefined && isV6(packet) === (name === 'icmp6');
      case 'nd':
      case 'nd_rs':
      case 'nd_ra':
        // No packet here is one of neighbour discovery.
        return () => false;
      default:
        throw this.#error(`unknown predicate ${name}`);
    }
  }

  /** `!=` holds when no value is met. */
  #compare(field: string, operator: string, operand: Operand): Test {
    if (operator !== '==' && operator !== '!=') throw this.#error(`${field} ${operator} is not known here`);
    const equal = operator === '==';
    switch (field) {
      case 'inport':
      case 'outport':
        return (packet, names) => {
          const port = packet[field];
          if (port === undefined) throw this.#error('this pipeline has no such port');
          return operand((one) => this.#isPort(port, one, names), names) === equal;
        };
      case 'ip4.src':
      case 'ip6.src':
      case 'ip4.dst':
      case 'ip6.dst':
        return (packet, names) => {
          const address = field.endsWith('src') ? packet.source : packet.destination;
          // The field exists in packets of its family only.
          if (address.includes(':') !== field.startsWith('ip6')) return false;
          return operand((one) => isIn(address, one), names) === equal;
        };
      case 'ip.proto':
        return (packet, names) => operand((one) => one === String(protocolOf(packet)), names) === equal;
      default: {
        const number = this.#number(field);
        if (!equal) throw this.#error(`${field} ${operator} is not known here`);
        return (packet, names) => {
          const value = number(packet);
          return value !== undefined && operand((one) => one === String(value), names);
        };
      }
    }
  }

  #isPort(port: string, value: string, names: MatchNames): boolean {
    if (value.startsWith('@')) return this.#named(names.portGroups, value.slice(1)).has(port);
    return value === `"${port}"`;
  }

  #number(field: string): (packet: Packet) => number | undefined {
    const [protocol, part] = field.split('.');
    if ((part !== 'dst' && part !== 'src') || (protocol !== 'tcp' && protocol !== 'udp' && protocol !== 'sctp'))
      throw this.#error(`unknown field ${field}`);
    return (packet) => {
      if (packet.protocol !== protocol) return undefined;
      return part === 'dst' ? packet.port : (packet.sourcePort ?? 40_000);
    };
  }

  #named<T>(all: ReadonlyMap<string, T>, name: string): T {
    const found = all.get(name);
    if (found === undefined) throw this.#error(`${name} does not exist`);
    return found;
  }

  #skip(token: string): boolean {
    if (this.#peek() !== token) return false;
    this.#at += 1;
    return true;
  }

  #peek(): string | undefined {
    return this.#tokens[this.#at];
  }

  #take(): string {
    const token = this.#tokens[this.#at];
    if (token === undefined) throw this.#error('ends too early');
    this.#at += 1;
    return token;
  }

  #error(problem: string): Error {
    return new Error(`${problem}: ${this.#expression}`);
  }
}

const isV6 = ({ source }: Packet): boolean => source.includes(':');

function protocolOf(packet: Packet): number {
  if (packet.protocol !== undefined) return protocols[packet.protocol];
  return isV6(packet) ? 58 : 1;
}

/** Answers of {@link isIn}: few addresses meet few values, very often. */
const inside = new Map<string, Map<string, boolean>>();

function isIn(address: string, value: string): boolean {
  let answers = inside.get(value);
  if (answers === undefined) inside.set(value, (answers = new Map<string, boolean>()));
  let answer = answers.get(address);
  if (answer === undefined) {
    answer = value.includes('/') ? cidrContains(value, address) : parseIp(value) === parseIp(address);
    answers.set(address, answer);
  }
  return answer;
}
