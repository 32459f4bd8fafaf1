import type { Subnet, Vpc } from '@ovenbird/crds';
import { SUBNETS, VPCS } from '@ovenbird/crds';
import { KubeError, type KubeObject, type Requester, Resource } from '@ovenbird/kube';
import type { Config } from '../config.ts';

/** Creates the default Vpc, the join Subnet and the default Subnet where they are missing; existing ones are never changed. */
export async function ensureDefaults(client: Requester, config: Config, signal: AbortSignal): Promise<void> {
  const apiVersion = 'ovenbird.io/v1';
  const { defaultVpc, joinSubnet, defaultSubnet } = config;
  await createMissing(
    new Resource<Vpc>(client, VPCS),
    { apiVersion, kind: 'Vpc', metadata: { name: defaultVpc }, spec: {} },
    signal,
  );
  const subnets = new Resource<Subnet>(client, SUBNETS);
  const join = { vpc: defaultVpc, cidrBlock: joinSubnet.cidrBlock };
  await createMissing(subnets, { apiVersion, kind: 'Subnet', metadata: { name: joinSubnet.name }, spec: join }, signal);
  const spec = {
    vpc: defaultVpc,
    cidrBlock: defaultSubnet.cidrBlock,
    natOutgoing: true,
    ...(defaultSubnet.gateway === undefined ? {} : { gateway: defaultSubnet.gateway }),
    ...(defaultSubnet.excludeIps === undefined ? {} : { excludeIps: defaultSubnet.excludeIps }),
  };
  await createMissing(subnets, { apiVersion, kind: 'Subnet', metadata: { name: defaultSubnet.name }, spec }, signal);
}

async function createMissing<T extends KubeObject>(
  resource: Resource<T>,
  object: T,
  signal: AbortSignal,
): Promise<void> {
  if ((await resource.find({ name: object.metadata.name }, { signal })) !== undefined) return;
  try {
    await resource.create(object, { signal });
  } catch (error) {
    if (error instanceof KubeError && error.code === 'already-exists') return;
    throw error;
  }
}
