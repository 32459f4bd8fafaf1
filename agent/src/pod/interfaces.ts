import { announcement, type PodInterface } from '@ovenbird/crds';
import { z } from 'zod';

/** `iface-id` of a pod's first interface = name of its logical switch port. */
export function podPortName(namespace: string, name: string): string {
  return `${name}.${namespace}`;
}

const shape = z.array(
  z.looseObject({
    name: z.string(),
    provider: z.string(),
    defaultRoute: z.literal(true).exactOptional(),
    port: z.string().exactOptional(),
    subnet: z.string().exactOptional(),
    mac: z.string().exactOptional(),
    addresses: z
      .array(z.looseObject({ address: z.string(), prefix: z.int().min(0).max(128), gateway: z.string() }))
      .exactOptional(),
  }),
);

/** A pod's interfaces beside the first one, as the controller announced them. @throws Error when they cannot be read */
export function readInterfaces(annotations: Readonly<Record<string, string>>): readonly PodInterface[] {
  const text = annotations[announcement.interfaces];
  return text === undefined || text === '' ? [] : shape.parse(JSON.parse(text));
}
