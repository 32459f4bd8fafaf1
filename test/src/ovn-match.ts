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

type Value =
  | { readonly kind: 'literal'; readonly text: string }
  | { readonly kind: 'set'; readonly name: string }
  | { readonly kind: 'group'; readonly name: string }
  | { readonly kind: 'list'; readonly values: readonly Value[] };

const tokens =
  /\s*(\|\||&&|==|!=|<=|>=|<|>|[!(){},]|"[^"]*"|[@$][\w.]+|[0-9a-fA-F]*:[0-9a-fA-F:.]*(?:\/\d+)?|\d[\d.]*(?:\/\d+)?|[A-Za-z_][\w.]*)/y;

/**
 * Evaluates the part of OVN's match language (ovn-sb(5), "Expressions") that policies are written in, without anything of
 * ovn-controller: comparisons of ports, addresses and transport ports with literals, lists, `$sets` and `@groups`.
 * @throws Error for anything else, and for names that lead nowhere
 */
export function matches(expression: string, packet: Packet, names: MatchNames): boolean {
  return new Evaluation(tokenize(expression), packet, names, expression).run();
}

/** Each match is evaluated for many packets. */
const known = new Map<string, readonly string[]>();

function tokenize(expression: string): readonly string[] {
  const before = known.get(expression);
  if (before !== undefined) return before;
  const found: string[] = [];
  tokens.lastIndex = 0;
  while (tokens.lastIndex < expression.trimEnd().length) {
    const token = tokens.exec(expression)?.[1];
    if (token === undefined) throw new Error(`not a match: ${expression}`);
    found.push(token);
  }
  known.set(expression, found);
  return found;
}

const comparisons = new Set(['==', '!=', '<', '<=', '>', '>=']);

class Evaluation {
  readonly #tokens: readonly string[];
  readonly #packet: Packet;
  readonly #names: MatchNames;
  readonly #expression: string;
  #at = 0;

  constructor(list: readonly string[], packet: Packet, names: MatchNames, expression: string) {
    this.#tokens = list;
    this.#packet = packet;
    this.#names = names;
    this.#expression = expression;
  }

  run(): boolean {
    const result = this.#any();
    if (this.#at < this.#tokens.length) throw this.#error(`unexpected "${this.#peek()}"`);
    return result;
  }

  /** Mixing && and || without parentheses is an error in OVN too. */
  #any(): boolean {
    let result = this.#term();
    if (this.#peek() === '&&') while (this.#skip('&&')) result = this.#term() && result;
    else while (this.#skip('||')) result = this.#term() || result;
    if (this.#peek() === '&&' || this.#peek() === '||') throw this.#error('&& and || need parentheses');
    return result;
  }

  #term(): boolean {
    const token = this.#take();
    if (token === '!') return !this.#term();
    if (token === '(') {
      const result = this.#any();
      if (this.#take() !== ')') throw this.#error('no closing parenthesis');
      return result;
    }
    // A constant, as the only token of an operand; else the lower end of a range.
    if (/^[01]$/.test(token) && this.#peek() !== '<=') return token === '1';
    if (/^\d+$/.test(token)) return this.#range(Number(token));
    if (!comparisons.has(this.#peek() ?? '')) return this.#predicate(token);
    const operator = this.#take();
    return this.#compare(token, operator, this.#value());
  }

  /** `1 <= tcp.dst <= 2` */
  #range(low: number): boolean {
    if (this.#take() !== '<=') throw this.#error('a range is written low <= field <= high');
    const field = this.#take();
    if (this.#take() !== '<=') throw this.#error('a range is written low <= field <= high');
    const high = Number(this.#take());
    const value = this.#number(field);
    return value !== undefined && low <= value && value <= high;
  }

  #value(): Value {
    const token = this.#take();
    if (token.startsWith('$')) return { kind: 'set', name: token.slice(1) };
    if (token.startsWith('@')) return { kind: 'group', name: token.slice(1) };
    if (token !== '{') return { kind: 'literal', text: token };
    const values: Value[] = [];
    while (this.#peek() !== '}') {
      values.push(this.#value());
      if (this.#peek() === ',') this.#at += 1;
    }
    this.#at += 1;
    return { kind: 'list', values };
  }

  #predicate(name: string): boolean {
    const v6 = this.#packet.source.includes(':');
    if (name === 'ip') return true;
    if (name === 'ip4') return !v6;
    if (name === 'ip6') return v6;
    if (name === 'tcp' || name === 'udp' || name === 'sctp') return this.#packet.protocol === name;
    if (name === 'icmp4' || name === 'icmp6') return this.#packet.protocol === undefined && v6 === (name === 'icmp6');
    // No packet here is one of neighbour discovery.
    if (name === 'nd' || name === 'nd_rs' || name === 'nd_ra') return false;
    throw this.#error(`unknown predicate ${name}`);
  }

  #compare(field: string, operator: string, value: Value): boolean {
    switch (field) {
      case 'inport':
      case 'outport':
        return this.#equal(operator, value, (one) => this.#isPort(this.#packet[field], one));
      case 'ip4.src':
      case 'ip6.src':
      case 'ip4.dst':
      case 'ip6.dst': {
        const address = field.endsWith('src') ? this.#packet.source : this.#packet.destination;
        // The field exists in packets of its family only.
        if (address.includes(':') !== field.startsWith('ip6')) return false;
        return this.#equal(operator, value, (one) => this.#isIn(address, one));
      }
      case 'ip.proto':
        return this.#equal(operator, value, (one) => one === String(this.#protocol()));
      default: {
        const number = this.#number(field);
        if (operator !== '==') throw this.#error(`${field} ${operator} is not known here`);
        return number !== undefined && this.#equal(operator, value, (one) => one === String(number));
      }
    }
  }

  /** A list is met when one of its values is; `!=` holds when none is. */
  #equal(operator: string, value: Value, test: (one: string) => boolean): boolean {
    const met = (candidate: Value): boolean => {
      switch (candidate.kind) {
        case 'literal':
          return test(candidate.text);
        case 'list':
          return candidate.values.some(met);
        case 'set':
          return this.#named(this.#names.addressSets, candidate.name).some(test);
        case 'group':
          return test(`@${candidate.name}`);
      }
    };
    if (operator === '==') return met(value);
    if (operator === '!=') return !met(value);
    throw this.#error(`${operator} is not for this field`);
  }

  #isPort(port: string | undefined, value: string): boolean {
    if (port === undefined) throw this.#error('this pipeline has no such port');
    if (value.startsWith('@')) return this.#named(this.#names.portGroups, value.slice(1)).has(port);
    return value === `"${port}"`;
  }

  #isIn(address: string, value: string): boolean {
    return value.includes('/') ? cidrContains(value, address) : parseIp(value) === parseIp(address);
  }

  #protocol(): number {
    const { protocol, source } = this.#packet;
    if (protocol === undefined) return source.includes(':') ? 58 : 1;
    return { tcp: 6, udp: 17, sctp: 132, gre: 47 }[protocol];
  }

  #number(field: string): number | undefined {
    const [protocol, part] = field.split('.');
    if ((part !== 'dst' && part !== 'src') || (protocol !== 'tcp' && protocol !== 'udp' && protocol !== 'sctp'))
      throw this.#error(`unknown field ${field}`);
    if (this.#packet.protocol !== protocol) return undefined;
    return part === 'dst' ? this.#packet.port : (this.#packet.sourcePort ?? 40_000);
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
