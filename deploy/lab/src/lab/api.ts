import { readFileSync } from 'node:fs';
import { request } from 'node:https';
import { join } from 'node:path';
import { tokenOf } from './access.ts';
import type { Layout } from './layout.ts';
import { loopbackPort } from './loopback.ts';

/** A reply of the API server. */
export interface ApiReply {
  readonly status: number;
  readonly body: string;
}

/**
 * One GET as administrator, through the loopback listener. Rejects when there is no answer within 5 s.
 * The lab asks only whether things are ready; everybody else uses kubectl or `kube/`.
 */
export function apiGet(layout: Layout, path: string): Promise<ApiReply> {
  const port = loopbackPort(layout);
  if (port === undefined) return Promise.reject(new Error('no port on the loopback address yet'));
  return new Promise((resolve, reject) => {
    const options = {
      host: '127.0.0.1',
      port,
      path,
      ca: readFileSync(join(layout.pki, 'ca.crt')),
      agent: false,
      timeout: 5000,
      headers: { authorization: `Bearer ${tokenOf(layout, 'admin')}`, accept: 'application/json' },
    };
    const asked = request(options, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => (body += chunk));
      response.once('error', reject);
      response.once('end', () => resolve({ status: response.statusCode ?? 0, body }));
    });
    asked.once('timeout', () => asked.destroy(new Error(`no answer to ${path} in 5 s`)));
    asked.once('error', reject);
    asked.end();
  });
}

/** Whether the API server is ready; a string says why not. */
export async function apiReady(layout: Layout): Promise<true | string> {
  try {
    const { status } = await apiGet(layout, '/readyz');
    return status === 200 ? true : `/readyz says ${status}`;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

interface NodeList {
  readonly items: readonly {
    readonly metadata: { readonly name: string };
    readonly status?: {
      readonly conditions?: readonly {
        readonly type: string;
        readonly status: string;
        readonly message?: string;
        readonly lastHeartbeatTime?: string;
      }[];
    };
  }[];
}

/**
 * Whether these nodes are Ready; a string says which are not.
 * @param since what a kubelet said earlier (objects may be kept from an earlier lab) does not count
 */
export async function nodesReady(layout: Layout, nodes: readonly string[], since: Date): Promise<true | string> {
  try {
    const { status, body } = await apiGet(layout, '/api/v1/nodes');
    if (status !== 200) return `listing nodes gave ${status}`;
    const { items } = JSON.parse(body) as NodeList;
    const missing = nodes.flatMap((name) => {
      const node = items.find((item) => item.metadata.name === name);
      const ready = node?.status?.conditions?.find((condition) => condition.type === 'Ready');
      // Kubernetes times have whole seconds.
      const fresh = Date.parse(ready?.lastHeartbeatTime ?? '') >= Math.floor(since.getTime() / 1000) * 1000;
      if (ready?.status === 'True' && fresh) return [];
      return [`${name}: ${node === undefined ? 'no Node object' : (ready?.message ?? 'no Ready condition')}`];
    });
    return missing.length === 0 ? true : missing.join('; ');
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
