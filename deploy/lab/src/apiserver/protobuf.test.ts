import { describe, expect, it } from 'vitest';
import { kinds } from './kinds.ts';
import { decodeProtobuf } from './protobuf.ts';
import { fieldsOf } from './wire.ts';

function varint(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  while (rest > 127) {
    bytes.push((rest & 0x7f) | 0x80);
    rest = Math.floor(rest / 128);
  }
  return [...bytes, rest];
}
const bytes = (number: number, content: Buffer | string): Buffer => {
  const body = Buffer.from(content);
  return Buffer.concat([Buffer.from([...varint((number << 3) | 2), ...varint(body.length)]), body]);
};
const int = (number: number, value: number): Buffer => Buffer.from([...varint(number << 3), ...varint(value)]);
const body = (apiVersion: string, kind: string, raw: Buffer): Buffer =>
  Buffer.concat([Buffer.from('k8s\0'), bytes(1, Buffer.concat([bytes(1, apiVersion), bytes(2, kind)])), bytes(2, raw)]);
/** Number of a field in the table that the decoder uses. */
const n = (type: string, field: string): number => kinds().types[type]?.[field]?.[0] ?? Number.NaN;

describe('protobuf bodies', () => {
  it('become the JSON object: nested messages, maps, bytes, quantities, times, inlined structs', () => {
    const meta = Buffer.concat([
      bytes(n('meta.v1.ObjectMeta', 'name'), 'p'),
      bytes(n('meta.v1.ObjectMeta', 'namespace'), ''),
      bytes(n('meta.v1.ObjectMeta', 'creationTimestamp'), ''),
      bytes(n('meta.v1.ObjectMeta', 'deletionTimestamp'), int(1, 1_700_000_000)),
      bytes(n('meta.v1.ObjectMeta', 'labels'), Buffer.concat([bytes(1, 'a'), bytes(2, 'b')])),
    ]);
    const container = Buffer.concat([
      bytes(n('core.v1.Container', 'name'), 'c'),
      bytes(n('core.v1.Container', 'command'), 'x'),
      bytes(n('core.v1.Container', 'command'), ''),
      bytes(
        n('core.v1.Container', 'resources'),
        bytes(n('core.v1.ResourceRequirements', 'limits'), Buffer.concat([bytes(1, 'cpu'), bytes(2, bytes(1, '2'))])),
      ),
      bytes(
        n('core.v1.Container', 'livenessProbe'),
        bytes(
          n('core.v1.Probe', 'handler'),
          bytes(
            n('core.v1.ProbeHandler', 'tcpSocket'),
            bytes(n('core.v1.TCPSocketAction', 'port'), Buffer.concat([int(1, 0), int(2, 80), bytes(3, '')])),
          ),
        ),
      ),
    ]);
    const spec = Buffer.concat([
      bytes(n('core.v1.PodSpec', 'containers'), container),
      int(n('core.v1.PodSpec', 'terminationGracePeriodSeconds'), 0),
      int(n('core.v1.PodSpec', 'hostNetwork'), 0),
      bytes(
        n('core.v1.PodSpec', 'volumes'),
        Buffer.concat([
          bytes(n('core.v1.Volume', 'name'), 'v'),
          bytes(n('core.v1.Volume', 'volumeSource'), bytes(n('core.v1.VolumeSource', 'emptyDir'), '')),
        ]),
      ),
    ]);
    expect(decodeProtobuf(body('v1', 'Pod', Buffer.concat([bytes(1, meta), bytes(2, spec)])))).toEqual({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'p', labels: { a: 'b' }, deletionTimestamp: '2023-11-14T22:13:20Z' },
      spec: {
        containers: [
          {
            name: 'c',
            command: ['x', ''],
            resources: { limits: { cpu: '2' } },
            livenessProbe: { tcpSocket: { port: 80 } },
          },
        ],
        // A pointer in Go: the zero was meant. hostNetwork is none: its zero means absent.
        terminationGracePeriodSeconds: 0,
        volumes: [{ name: 'v', emptyDir: {} }],
      },
    });
  });

  it('decode Secret data to base64 and review extras to lists', () => {
    const entry = Buffer.concat([bytes(1, 'k'), bytes(2, Buffer.from([0, 255]))]);
    expect(decodeProtobuf(body('v1', 'Secret', bytes(n('core.v1.Secret', 'data'), entry)))).toMatchObject({
      data: { k: 'AP8=' },
    });
  });

  it('accept DeleteOptions of any group', () => {
    const raw = int(n('meta.v1.DeleteOptions', 'gracePeriodSeconds'), 0);
    expect(decodeProtobuf(body('apps/v1', 'DeleteOptions', raw))).toMatchObject({ gracePeriodSeconds: 0 });
  });

  it.each([
    ['no magic', Buffer.from('{"kind":"Pod"}')],
    ['an unknown kind', body('x/v1', 'Y', Buffer.alloc(0))],
    ['a field that ends too late', Buffer.concat([Buffer.from('k8s\0'), Buffer.from([0x0a, 0x7f, 1])])],
    ['an endless varint', Buffer.concat([Buffer.from('k8s\0'), Buffer.alloc(20, 0xff)])],
    ['a group', Buffer.concat([Buffer.from('k8s\0'), Buffer.from([0x0b])])],
  ])('refuse %s with 400', (_what, bad) => {
    expect(() => decodeProtobuf(bad)).toThrow(expect.objectContaining({ code: 400 }));
  });

  it('read negative and 64-bit numbers', () => {
    expect(fieldsOf(Buffer.from([8, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1]))[0]?.value).toBe(-1n);
  });
});
