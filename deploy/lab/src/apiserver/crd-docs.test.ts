import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { type ApiServer, createApiServer } from './server.ts';

const root = new URL('../../../../', import.meta.url);
let server: ApiServer;

beforeAll(async () => {
  server = await createApiServer({
    listen: [{ host: '127.0.0.1', port: 0 }],
    tokens: [{ token: 'test', user: 'test', groups: ['system:masters'] }],
    manifests: ['ippools', 'ips', 'subnets', 'vips', 'vpcs'].map((plural) =>
      fileURLToPath(new URL(`crds/manifests/ovenbird.io_${plural}.yaml`, root)),
    ),
    onError: (error) => {
      throw error;
    },
  });
});
afterAll(() => server.close());

interface Reply {
  readonly code: number;
  readonly message: string;
}

async function create(object: { kind: string }): Promise<Reply> {
  const response = await fetch(
    `${server.urls[0]}/apis/ovenbird.io/v1/${object.kind.toLowerCase()}s?fieldValidation=Strict`,
    {
      method: 'POST',
      headers: { authorization: 'Bearer test', 'content-type': 'application/json' },
      body: JSON.stringify(object),
    },
  );
  const body = (await response.json()) as { message?: string };
  return { code: response.status, message: body.message ?? '' };
}

async function examples(page: string): Promise<{ kind: string; metadata: { name: string } }[]> {
  const text = await readFile(new URL(`docs/${page}.md`, root), 'utf8');
  return [...text.matchAll(/^```yaml\n([\s\S]*?)^```$/gm)].flatMap((match) =>
    parseAllDocuments(match[1] ?? '').map(
      (document) => document.toJS() as { kind: string; metadata: { name: string } },
    ),
  );
}

describe('the examples of the documentation', () => {
  it.each(['subnet', 'vpc', 'ip'])('docs/%s.md', async (page) => {
    const objects = await examples(page);
    expect(objects.length).toBeGreaterThan(0);
    for (const object of objects)
      expect(await create(object), `${object.kind} ${object.metadata.name}`).toEqual({ code: 201, message: '' });
  });

  it('and the refusal it shows', async () => {
    const object = {
      apiVersion: 'ovenbird.io/v1',
      kind: 'Subnet',
      metadata: { name: 'red' },
      spec: { cidrBlock: '10.30.1.0/16' },
    };
    const page = await readFile(new URL('docs/subnet.md', root), 'utf8');
    const { code, message } = await create(object);
    expect(code).toBe(422);
    expect(page).toContain(message.slice(message.indexOf('spec.cidrBlock')));
  });
});
