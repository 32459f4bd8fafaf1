/**
 * Writes `gen/kinds.json`: fields of the built-in kinds, with their types and protobuf field numbers. kubectl 1.33 and
 * newer send built-in kinds as protobuf, and `kubectl explain` and strict field validation need the fields.
 *
 *     node deploy/lab/src/apiserver/generate-kinds.ts --kubectl PATH [--check]
 *
 * PATH is a kubectl of version 1.31 to 1.34: it contains the descriptors of all API messages, gzipped, as its protobuf
 * library registers them. What is required is read from the type declarations of @kubernetes/client-node.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { gunzipSync } from 'node:zlib';
import type { FieldTable, KindsFile } from './kinds.ts';
import { fieldsOf, type WireField } from './wire.ts';

const OUTPUT = join(import.meta.dirname, 'gen', 'kinds.json');

/** Kind, protobuf message, and class of client-node where it is not `V1<Kind>`. */
const ROOTS: readonly (readonly [apiVersion: string, kind: string, message: string, model?: string])[] = [
  ...['Namespace', 'Node', 'Pod', 'Service', 'Endpoints', 'ConfigMap', 'Secret', 'ServiceAccount', 'Binding'].map(
    (kind) => ['v1', kind, `core.v1.${kind}`] as const,
  ),
  ['v1', 'Event', 'core.v1.Event', 'CoreV1Event'],
  ...['Deployment', 'ReplicaSet', 'StatefulSet', 'DaemonSet', 'ControllerRevision'].map(
    (kind) => ['apps/v1', kind, `apps.v1.${kind}`] as const,
  ),
  ['batch/v1', 'Job', 'batch.v1.Job'],
  ['coordination.k8s.io/v1', 'Lease', 'coordination.v1.Lease'],
  ['discovery.k8s.io/v1', 'EndpointSlice', 'discovery.v1.EndpointSlice'],
  ['networking.k8s.io/v1', 'NetworkPolicy', 'networking.v1.NetworkPolicy'],
  ...['ValidatingAdmissionPolicy', 'ValidatingAdmissionPolicyBinding'].map(
    (kind) => ['admissionregistration.k8s.io/v1', kind, `admissionregistration.v1.${kind}`] as const,
  ),
  ...['ClusterRole', 'ClusterRoleBinding', 'Role', 'RoleBinding'].map(
    (kind) => ['rbac.authorization.k8s.io/v1', kind, `rbac.v1.${kind}`] as const,
  ),
  ...['SelfSubjectAccessReview', 'SelfSubjectRulesReview', 'SubjectAccessReview'].map(
    (kind) => ['authorization.k8s.io/v1', kind, `authorization.v1.${kind}`] as const,
  ),
  ['authentication.k8s.io/v1', 'SelfSubjectReview', 'authentication.v1.SelfSubjectReview'],
  ['policy/v1', 'Eviction', 'policy.v1.Eviction'],
  ['autoscaling/v1', 'Scale', 'autoscaling.v1.Scale'],
  ['v1', 'DeleteOptions', 'meta.v1.DeleteOptions'],
];

/** Messages that look like something else in JSON. */
const SPECIAL: Readonly<Record<string, string>> = {
  'meta.v1.Time': 'time',
  'meta.v1.MicroTime': 'microtime',
  'meta.v1.Duration': 'duration',
  'meta.v1.FieldsV1': 'raw',
  'meta.v1.Verbs': '[]string',
  'runtime.RawExtension': 'raw',
  'resource.Quantity': 'quantity',
  'intstr.IntOrString': 'intorstring',
  'authorization.v1.ExtraValue': '[]string',
  'authentication.v1.ExtraValue': '[]string',
};

/** `.k8s.io.api.core.v1.Pod` as `core.v1.Pod`. */
function short(name: string): string {
  return name
    .replace(/^\./, '')
    .replace(
      /^k8s\.io\.(api|apimachinery\.pkg\.apis|apimachinery\.pkg\.api|apimachinery\.pkg\.util|apimachinery\.pkg)\./,
      '',
    );
}

interface Message {
  readonly fields: readonly {
    name: string;
    number: number;
    repeated: boolean;
    type: number;
    ref: string;
    nullable: boolean;
  }[];
  /** A map is a repeated message of two fields. */
  readonly mapEntry: boolean;
}

const text = (field: WireField | undefined): string => (field?.bytes === undefined ? '' : field.bytes.toString('utf8'));
const number = (field: WireField | undefined): number => Number(field?.value ?? 0);

/** A DescriptorProto (descriptor.proto of protobuf): name 1, field 2, nested_type 3, options 7. */
function readMessage(bytes: Buffer, prefix: string, into: Map<string, Message>): void {
  const members = fieldsOf(bytes);
  const name = `${prefix}.${text(members.find((item) => item.number === 1))}`;
  const fields = members
    .filter((item) => item.number === 2)
    .map((item) => {
      const parts = fieldsOf(item.bytes ?? Buffer.alloc(0));
      const options = fieldsOf(parts.find((part) => part.number === 8)?.bytes ?? Buffer.alloc(0));
      const nullable = options.find((option) => option.number === 65001);
      return {
        name: text(parts.find((part) => part.number === 1)),
        number: number(parts.find((part) => part.number === 3)),
        repeated: number(parts.find((part) => part.number === 4)) === 3,
        type: number(parts.find((part) => part.number === 5)),
        ref: short(text(parts.find((part) => part.number === 6))),
        nullable: nullable === undefined || number(nullable) !== 0,
      };
    });
  const options = fieldsOf(members.find((item) => item.number === 7)?.bytes ?? Buffer.alloc(0));
  into.set(short(name), { fields, mapEntry: number(options.find((option) => option.number === 7)) === 1 });
  for (const nested of members.filter((item) => item.number === 3))
    readMessage(nested.bytes ?? Buffer.alloc(0), name, into);
}

/** All messages of the descriptors in a program file. */
function readDescriptors(path: string): Map<string, Message> {
  const program = readFileSync(path);
  const magic = Buffer.from([0x1f, 0x8b, 0x08, 0, 0, 0, 0, 0]);
  const messages = new Map<string, Message>();
  for (let at = program.indexOf(magic); at >= 0; at = program.indexOf(magic, at + 1)) {
    let file: Buffer;
    try {
      file = gunzipSync(program.subarray(at, at + 2_000_000));
    } catch {
      continue;
    }
    if (!/^.{1,3}k8s\.io\/(api|apimachinery)\//s.test(file.subarray(0, 30).toString('latin1'))) continue;
    const members = fieldsOf(file);
    const pack = text(members.find((item) => item.number === 2));
    for (const item of members.filter((member) => member.number === 4))
      readMessage(item.bytes ?? Buffer.alloc(0), pack, messages);
  }
  return messages;
}

/** Attribute types and required attributes of a model class of client-node. */
class Models {
  readonly #folder = join(dirname(createRequire(import.meta.url).resolve('@kubernetes/client-node')), 'gen', 'models');
  readonly #cache = new Map<string, Map<string, { type: string; required: boolean }>>();

  attributes(model: string): Map<string, { type: string; required: boolean }> {
    let found = this.#cache.get(model);
    if (found === undefined) {
      found = new Map();
      let source = '';
      try {
        source = readFileSync(join(this.#folder, `${model}.d.ts`), 'utf8');
      } catch {
        // Not a class: a plain type such as `string`.
      }
      for (const match of source.matchAll(/^ {4}'([^']+)'(\?)?: (.+);$/gm)) {
        found.set((match[1] ?? '').replace(/^_/, ''), { type: match[3] ?? '', required: match[2] === undefined });
      }
      this.#cache.set(model, found);
    }
    return found;
  }
}

const SCALARS: Readonly<Record<number, string>> = {
  1: 'double',
  3: 'int64',
  5: 'int32',
  8: 'bool',
  9: 'string',
  12: 'bytes',
};

/** Fields whose names in JSON differ from those of the descriptors in their first letter. */
const LOWER: ReadonlySet<string> = new Set([
  'admissionregistration.v1.Validation',
  'admissionregistration.v1.Variable',
]);

function build(messages: ReadonlyMap<string, Message>): KindsFile {
  const models = new Models();
  const types: Record<string, FieldTable> = {};
  const visit = (name: string, model: string): void => {
    if (types[name] !== undefined || SPECIAL[name] !== undefined) return;
    const message = messages.get(name);
    if (message === undefined) throw new Error(`${name} is not among the descriptors of this kubectl`);
    const table: FieldTable = {};
    types[name] = table;
    const attributes = models.attributes(model);
    for (const field of message.fields) {
      const jsonName = LOWER.has(name) ? `${field.name.charAt(0).toLowerCase()}${field.name.slice(1)}` : field.name;
      const attribute = attributes.get(jsonName);
      const inner =
        attribute?.type.replace(/^Array<(.*)>$/, '$1').replace(/^\{ \[key: string\]: (.*); \}$/, '$1') ?? '';
      let type = SCALARS[field.type] ?? '';
      let embedded = false;
      let list = field.repeated ? '[]' : '';
      if (field.type === 11) {
        const entry = messages.get(field.ref);
        if (entry?.mapEntry === true) {
          list = '{}';
          const value = entry.fields.find((item) => item.number === 2);
          type = SCALARS[value?.type ?? 0] ?? SPECIAL[value?.ref ?? ''] ?? `@${value?.ref ?? ''}`;
          if (type.startsWith('@')) visit(type.slice(1), inner);
        } else {
          type = SPECIAL[field.ref] ?? `@${field.ref}`;
          embedded = attribute === undefined && (entry?.fields ?? []).some((item) => attributes.has(item.name));
          if (type.startsWith('@')) visit(field.ref, embedded ? model : inner);
        }
      }
      if (type === '' || type === '@')
        throw new Error(`${name}.${field.name}: type ${field.type} ${field.ref} is not known`);
      const flags = `${attribute?.required === true ? '!' : ''}${field.nullable ? '?' : ''}${embedded ? '+' : ''}`;
      table[jsonName] = [
        field.number,
        `${list}${type}`,
        ...(flags === '' ? [] : [flags]),
      ] as unknown as FieldTable[string];
    }
  };
  const kinds: Record<string, string> = {};
  for (const [apiVersion, kind, message, model] of ROOTS) {
    visit(message, model ?? `V1${kind}`);
    kinds[`${apiVersion} ${kind}`] = message;
  }
  return { kinds, types };
}

function render(file: KindsFile): string {
  const lines = Object.entries(file.types)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, table]) => `    ${JSON.stringify(name)}: ${JSON.stringify(table)}`);
  return `{\n  "kinds": ${JSON.stringify(file.kinds)},\n  "types": {\n${lines.join(',\n')}\n  }\n}\n`;
}

const { values } = parseArgs({ options: { kubectl: { type: 'string' }, check: { type: 'boolean', default: false } } });
if (values.kubectl === undefined) {
  console.error('usage: node generate-kinds.ts --kubectl PATH [--check]');
  process.exit(2);
}
const rendered = render(build(readDescriptors(values.kubectl)));
if (!values.check) writeFileSync(OUTPUT, rendered);
else if (readFileSync(OUTPUT, 'utf8') !== rendered) {
  console.error(`${OUTPUT} is not what this kubectl and client-node give; run the generator without --check`);
  process.exit(1);
}
