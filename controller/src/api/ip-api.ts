import type { IP } from '@ovenbird/crds';
import { IPS, ipObject } from '@ovenbird/crds';
import { KubeError, type Requester, Resource } from '@ovenbird/kube';
import type { IpApi } from '../records/ip-records.ts';

/** Writes of IP objects to the API server. */
export function ipApi(client: Requester, signal: AbortSignal): IpApi {
  const ips = new Resource<IP>(client, IPS);
  return {
    async create(object) {
      await ips.create(object, { signal, unread: true });
    },
    async update(object) {
      const { name, labels, annotations } = object.metadata;
      // Absent from the wish means gone: a merge patch removes a key by null (RFC 7386).
      const patch = {
        metadata: {
          labels: { [ipObject.reserved]: null, ...labels },
          annotations: { [ipObject.keepFor]: null, ...annotations },
        },
        spec: object.spec,
        status: object.status,
      };
      await ips.patch({ name }, patch, { signal, unread: true });
    },
    async remove(name, uid) {
      try {
        await ips.delete({ name }, { uid, signal });
      } catch (error) {
        if (error instanceof KubeError && (error.code === 'not-found' || error.code === 'conflict')) return;
        throw error;
      }
    },
  };
}
