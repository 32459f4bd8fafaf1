import { isIp, multus, parseMac } from '@ovenbird/crds';
import { AllocError } from '../alloc/error.ts';
import type { NetworkSelection } from './model.ts';

/** A name of an interface that `ip` and CNI take (SPEC.md, CNI_IFNAME). */
const IFNAME = /^(?!\.{1,2}$)[A-Za-z0-9_.@+=][A-Za-z0-9_.@+=-]{0,14}$/;
/** `[<namespace>/]<name>[@<interface>]` (network plumbing working group, version 1.3, §4.1.1). */
const SHORT = /^(?:([a-z0-9.-]+)\/)?([a-z0-9.-]+)(?:@(.+))?$/;

const invalid = (what: string): AllocError =>
  new AllocError(
    'invalid',
    `annotation ${multus.networks}: ${what}; write a list like "blue, storage/fast@net7" or JSON like [{"name": "blue", "ips": ["10.20.0.5"]}]`,
  );

/**
 * The networks that a pod asks for. An interface without a name is called `net1`, `net2` ... by its place, as Multus does.
 * @param text value of the annotation
 * @param namespace the pod's: definitions are looked up there unless another is named
 * @throws AllocError `invalid`, with what to write instead
 */
export function parseSelections(text: string, namespace: string): readonly NetworkSelection[] {
  const trimmed = text.trim();
  if (trimmed === '') return [];
  const selections = /^[[{]/.test(trimmed) ? parseJson(trimmed, namespace) : parseShort(trimmed, namespace);
  const names = new Set<string>();
  for (const { ifname } of selections) {
    if (!IFNAME.test(ifname)) throw invalid(`"${ifname.slice(0, 40)}" cannot be the name of an interface`);
    if (names.has(ifname)) throw invalid(`two interfaces are called ${ifname}`);
    names.add(ifname);
  }
  return selections;
}

function parseShort(text: string, namespace: string): NetworkSelection[] {
  return text.split(',').map((part, index) => {
    const match = SHORT.exec(part.trim());
    if (match === null) throw invalid(`"${part.trim().slice(0, 80)}" is not [<namespace>/]<name>[@<interface>]`);
    const [, where = namespace, name = '', ifname = `net${index + 1}`] = match;
    return { definition: `${where}/${name}`, ifname, ips: [] };
  });
}

function parseJson(text: string, namespace: string): NetworkSelection[] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw invalid('it is not JSON');
  }
  if (!Array.isArray(value)) throw invalid('it is not a list');
  return (value as readonly unknown[]).map((element, index) => {
    if (typeof element !== 'object' || element === null) throw invalid(`element ${index} is not an object`);
    const fields = element as Readonly<Record<string, unknown>>;
    const text = (key: string): string | undefined => {
      const field = fields[key];
      if (field === undefined || field === null || field === '') return undefined;
      if (typeof field !== 'string') throw invalid(`"${key}" of element ${index} is not a string`);
      return field;
    };
    const list = (key: string): readonly string[] => {
      const field = fields[key] ?? [];
      if (!Array.isArray(field)) throw invalid(`"${key}" of element ${index} is not a list`);
      return field.map((item) => {
        const address = typeof item === 'string' ? (item.split('/', 1)[0] ?? '') : '';
        if (!isIp(address)) throw invalid(`"${key}" of element ${index} holds ${JSON.stringify(item)}, not an address`);
        return address;
      });
    };
    const name = text('name');
    if (name === undefined) throw invalid(`element ${index} has no name`);
    const mac = text('mac');
    const defaultRoute = list('default-route');
    return {
      definition: `${text('namespace') ?? namespace}/${name}`,
      ifname: text('interface') ?? `net${index + 1}`,
      ips: list('ips'),
      ...(mac === undefined ? {} : { mac: macOf(mac) }),
      ...(defaultRoute.length === 0 ? {} : { defaultRoute }),
    };
  });
}

function macOf(text: string): string {
  try {
    return parseMac(text);
  } catch {
    throw invalid(`"${text.slice(0, 40)}" is not a unicast MAC`);
  }
}
