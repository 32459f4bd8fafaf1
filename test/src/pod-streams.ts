import type { TestLab } from './lab.ts';
import { addressesOf, type PodObject } from './objects.ts';
import type { Stream } from './packet-stream.ts';

/** UDP packets to a pod. */
export interface Flow {
  /** Name of a pod, or the path of a network namespace. */
  readonly from: string;
  readonly to: string;
  readonly port: number;
  /** Nothing should arrive. */
  readonly closed?: boolean;
  /** Of its streams, before the family; default `from-to-port`. */
  readonly name?: string;
}

/** The flows between pods of a namespace, as a stream in each family that the receiver has. */
export async function podStreams(lab: TestLab, namespace: string, flows: readonly Flow[]): Promise<readonly Stream[]> {
  const netns = await lab.podNamespaces();
  const pathOf = (name: string): string => (name.startsWith('/') ? name : (netns.get(`${namespace}/${name}`) ?? ''));
  const streams: Stream[] = [];
  for (const { from, to, port, closed, name = `${from}-${to}-${port}` } of flows)
    for (const address of addressesOf(await lab.get<PodObject>('pod', to, '-n', namespace)))
      streams.push({
        name: `${name}-${address.includes(':') ? 'ipv6' : 'ipv4'}`,
        from: pathOf(from),
        to: pathOf(to),
        address,
        port,
        ...(closed === true ? { closed } : {}),
      });
  return streams;
}
