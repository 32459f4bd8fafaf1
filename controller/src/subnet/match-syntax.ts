/**
 * The northbound database takes any text as an ACL's `match`, and ovn-controller leaves out, with a line in its log, a rule
 * that it cannot read. So that people hear of it, this reads the expression language of ovn-sb(5) (Logical_Flow, `match`).
 */
import { isIPv4, isIPv6 } from 'node:net';

/** Fields and predicates of ovn-sb(5), by what stands before the first dot; `''` = the bare name. */
const symbols: Readonly<Record<string, readonly string[]>> = {
  eth: ['', 'src', 'dst', 'type', 'bcast', 'mcast', 'mcastv6'],
  vlan: ['tci', 'vid', 'pcp', 'present'],
  ip: ['', 'proto', 'dscp', 'ecn', 'ttl', 'frag', 'is_frag', 'first_frag', 'later_frag'],
  ip4: ['', 'src', 'dst', 'bcast', 'mcast', 'src_mcast'],
  ip6: ['', 'src', 'dst', 'label', 'mcast'],
  icmp: [''],
  icmp4: ['', 'type', 'code'],
  icmp6: ['', 'type', 'code'],
  igmp: [''],
  mldv1: [''],
  mldv2: [''],
  arp: ['', 'op', 'spa', 'tpa', 'sha', 'tha'],
  rarp: ['', 'op', 'spa', 'tpa', 'sha', 'tha'],
  nd: ['', 'target', 'sll', 'tll'],
  nd_ns: [''],
  nd_na: [''],
  nd_rs: [''],
  nd_ra: [''],
  tcp: ['', 'src', 'dst', 'flags'],
  udp: ['', 'src', 'dst'],
  sctp: ['', 'src', 'dst'],
  ct: ['trk', 'new', 'est', 'rel', 'rpl', 'inv', 'dnat', 'snat'],
  flags: ['loopback', 'force_snat_for_dnat', 'force_snat_for_lb'],
};
const bare = /^(?:inport|outport|ct_mark|ct_label|reg\d|xreg[0-4]|xxreg[01])$/;
/** Fields without order: they may be compared for equality only, and not under a `!` (ovn-sb(5), "Nominal"). */
const nominal = /^(?:inport|outport|eth\.type|ip\.proto|ip\.dscp|ip\.ecn|ip\.ttl|arp\.op|icmp[46]\.(?:type|code))$/;
const functions = ['is_chassis_resident'];

const token =
  /\s+|"(?:[^"\\]|\\.)*"|==|!=|<=|>=|&&|\|\||[<>!(){},]|[$@][A-Za-z_][\w.-]*|[A-Fa-f][\dA-Fa-f]*:[\dA-Fa-f:.]*(?:\/[\dA-Fa-f:.]+)?|[A-Za-z_][\w.]*(?:\[\d+(?:\.\.\d+)?\])?|[\d:][\w:.]*(?:\/[\w:.]+)?/y;
const relations = ['==', '!=', '<', '<=', '>', '>='];

class SyntaxProblem extends Error {}
const wrong = (message: string): never => {
  throw new SyntaxProblem(message);
};

function tokens(match: string): string[] {
  const found: string[] = [];
  token.lastIndex = 0;
  while (token.lastIndex < match.length) {
    const at = token.lastIndex;
    const text = token.exec(match)?.[0] ?? wrong(`cannot read ${JSON.stringify(match.slice(at, at + 20))}`);
    if (text.trim() !== '') found.push(text);
  }
  return found;
}

const isMac = (text: string): boolean => /^[\dA-Fa-f]{2}(?::[\dA-Fa-f]{2}){5}$/.test(text);
const isNumber = (text: string): boolean => /^(?:\d+|0x[\dA-Fa-f]+)$/.test(text);
const isMask = (text: string): boolean => isNumber(text) || isIPv4(text) || isIPv6(text) || isMac(text);

function isConstant(text: string): boolean {
  if (/^["$@]/.test(text)) return true;
  const [value = '', mask, more] = text.split('/');
  const plain = isNumber(value) || isIPv4(value) || isIPv6(value) || isMac(value);
  return plain && more === undefined && (mask === undefined || isMask(mask));
}

class Parser {
  readonly #tokens: readonly string[];
  #at = 0;
  /** Under an odd number of `!`. */
  #negated = false;

  constructor(match: string) {
    this.#tokens = tokens(match);
  }

  whole(): void {
    this.#expression();
    const rest = this.#peek();
    if (rest !== undefined) wrong(`${rest} is not expected here`);
  }

  #peek(): string | undefined {
    return this.#tokens[this.#at];
  }

  #next(): string | undefined {
    const text = this.#peek();
    this.#at += 1;
    return text;
  }

  #expect(text: string): void {
    const found = this.#next();
    if (found !== text) wrong(`${text} is missing${found === undefined ? ' at the end' : ` before ${found}`}`);
  }

  #expression(): void {
    this.#term();
    const operator = this.#peek();
    while (this.#peek() === '&&' || this.#peek() === '||') {
      if (this.#next() !== operator) wrong('put parentheses where && and || are used together');
      this.#term();
    }
  }

  #term(): void {
    const text = this.#peek();
    if (text === undefined) return wrong('it ends too early');
    if (text === '!') {
      this.#next();
      if (this.#peek() === '!') wrong('two ! in a row cancel out; remove both');
      this.#negated = !this.#negated;
      this.#term();
      this.#negated = !this.#negated;
      return;
    }
    if (text === '(') {
      this.#next();
      this.#expression();
      return this.#expect(')');
    }
    if (isConstant(text) || text === '{') return this.#constantFirst();
    this.#next();
    if (functions.includes(text)) {
      this.#expect('(');
      if (this.#next()?.startsWith('"') !== true) wrong(`${text} takes a name in quotes`);
      return this.#expect(')');
    }
    this.#field(text);
    const relation = this.#peek() ?? '';
    if (relations.includes(relation)) {
      this.#next();
      this.#relation(text, relation);
      return this.#constants(text);
    }
    if (this.#negated && symbols[text]?.includes('') === true)
      wrong(`${text} cannot be negated in OVN; write what shall match, or a rule of higher priority for ${text}`);
  }

  #relation(field: string, relation: string): void {
    if (!nominal.test(field)) return;
    if (relation !== '==' && relation !== '!=') wrong(`${field} has no order: compare it with ==`);
    if ((relation === '!=') !== this.#negated)
      wrong(`${field} cannot be negated in OVN; write the values that shall match: ${field} == {...}`);
  }

  /** `0 < ip.ttl`, `0 < ip.ttl < 5`, or the truth values `0` and `1`. */
  #constantFirst(): void {
    const first = this.#peek();
    this.#constants(undefined);
    if (!relations.includes(this.#peek() ?? '')) {
      if (first !== '0' && first !== '1') wrong(`${first ?? ''} is compared with nothing`);
      return;
    }
    const relation = this.#next() ?? '';
    const field = this.#next() ?? wrong('it ends too early');
    this.#field(field);
    this.#relation(field, relation);
    if (!relations.includes(this.#peek() ?? '')) return;
    this.#next();
    this.#constants(field);
  }

  #constants(field: string | undefined): void {
    const text = this.#next();
    if (text !== '{') return this.#constant(text, field);
    do this.#constant(this.#next(), field);
    while (this.#peek() === ',' && this.#next() !== undefined);
    this.#expect('}');
  }

  #constant(text: string | undefined, field: string | undefined): void {
    if (text === undefined || !isConstant(text))
      return wrong(`${text ?? 'the end'} is not a value; names of ports stand in quotes`);
    const isPort = field === 'inport' || field === 'outport';
    if (isPort && !/^["@]/.test(text))
      wrong(`${field} is compared with a name in quotes or an @group, not with ${text}`);
    if (!isPort && field !== undefined && text.startsWith('"'))
      wrong(`${field} is not compared with text like ${text}`);
    if (/^ip4\.(?:src|dst)$/.test(field ?? '') && text.includes(':')) wrong(`${text} is not an IPv4 address`);
    if (/^ip6\.(?:src|dst)$/.test(field ?? '') && isIPv4(text.split('/')[0] ?? ''))
      wrong(`${text} is not an IPv6 address`);
  }

  #field(text: string): void {
    const name = text.replace(/\[.*$/, '');
    if (bare.test(name) || /^ct_(?:mark|label)\.\w+$/.test(name)) return;
    const dot = name.indexOf('.');
    const [head, tail] = dot < 0 ? [name, ''] : [name.slice(0, dot), name.slice(dot + 1)];
    const known = symbols[head];
    if (known?.includes(tail) === true) return;
    const offer = known?.filter((each) => each !== '').map((each) => `${head}.${each}`) ?? [];
    wrong(
      `there is no field ${name}${offer.length > 0 ? `; there are ${offer.join(', ')}` : ' (ovn-sb(5), Logical_Flow, lists them)'}`,
    );
  }
}

/** What OVN cannot read in an ACL's match, or undefined when it can. Types and prerequisites of fields are not checked. */
export function matchProblem(match: string): string | undefined {
  try {
    new Parser(match).whole();
    return undefined;
  } catch (error) {
    if (error instanceof SyntaxProblem) return error.message;
    throw error;
  }
}
