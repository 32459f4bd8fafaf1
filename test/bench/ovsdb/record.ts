/** Recordings of a real server, to be played back by fake-server.mjs. */
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createReadStream, createWriteStream } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { createInterface } from 'node:readline';

const ZERO = '00000000-0000-0000-0000-000000000000';
/** The columns of OVN 23.03's Logical_Switch_Port, and of Address_Set. */
const MONITOR = {
  Logical_Switch_Port: [
    {
      columns: [
        'name type options parent_name tag_request tag up enabled addresses dynamic_addresses port_security',
        'dhcpv4_options dhcpv6_options mirror_rules ha_chassis_group external_ids',
      ]
        .join(' ')
        .split(' '),
    },
  ],
  Address_Set: [{ columns: ['name', 'addresses', 'external_ids'] }],
};

/** Messages end where the next begins: no string of this benchmark holds `}{"`. */
const BETWEEN = /(?<=\})(?=\{")/;

/** The end of a reply. */
const END = Buffer.from('"error":null}');

/** Collects messages until one has the id. */
async function collect(socket: Socket, id: number): Promise<string[]> {
  const chunks: Buffer[] = [];
  const mark = Buffer.from(`"id":${id},`);
  let tail = Buffer.alloc(0);
  let found = false;
  for await (const chunk of socket.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    const seen = Buffer.concat([tail, chunk]);
    found ||= seen.includes(mark);
    if (found && seen.subarray(-END.length).equals(END)) {
      break;
    }
    tail = seen.subarray(-32);
  }
  return Buffer.concat(chunks).toString().split(BETWEEN);
}

/** The result of `monitor_cond_since` for all ports, as text. */
export async function recordDump(socketPath: string, to: string): Promise<void> {
  const socket = connect(socketPath);
  const params = ['OVN_Northbound', ['monid', 'OVN_Northbound'], MONITOR, ZERO];
  socket.write(JSON.stringify({ id: 1, method: 'monitor_cond_since', params }));
  const [reply = ''] = await collect(socket, 1);
  socket.destroy();
  await writeFile(to, resultText(reply));
}

function resultText(reply: string): string {
  return reply.slice(reply.indexOf('"result":') + 9, reply.lastIndexOf(',"error"'));
}

/**
 * Frames of single-row changes, one a line: a port's map, optional and set columns by turns, and an Address_Set that
 * comes, changes and goes. Their rows are as at the beginning when all have been applied twice.
 */
export async function recordFrames(socketPath: string, count: number, to: string): Promise<void> {
  const socket = connect(socketPath);
  const params = ['OVN_Northbound', 'OVN_Northbound', MONITOR, ZERO];
  socket.write(JSON.stringify({ id: 1, method: 'monitor_cond_since', params }));
  const [reply = ''] = await collect(socket, 1);
  const ports = Object.keys(
    (JSON.parse(resultText(reply)) as [boolean, string, { Logical_Switch_Port: object }])[2].Logical_Switch_Port,
  );
  const out = createWriteStream(to);
  let frames = 0;
  for (let n = 0; frames < count; n += 1) {
    const port = ports[(n * 7919) % ports.length];
    const where = [['_uuid', '==', ['uuid', port]]];
    const update = (row: object): object => ({ op: 'update', table: 'Logical_Switch_Port', where, row });
    const set = [['name', '==', `set${n}`]];
    const operations = [
      {
        op: 'mutate',
        table: 'Logical_Switch_Port',
        where,
        mutations: [['external_ids', 'insert', ['map', [['epoch', randomUUID()]]]]],
      },
      update({ up: false }),
      update({ addresses: ['set', [`0a:58:0a:10:${(n % 90) + 10}:01 10.16.1.${n % 250}`]] }),
      update({ tag: (n % 4000) + 1 }),
      { op: 'insert', table: 'Address_Set', row: { name: `set${n}`, addresses: ['set', ['10.0.0.1', '10.0.0.2']] } },
      { op: 'mutate', table: 'Address_Set', where: set, mutations: [['addresses', 'insert', ['set', ['10.0.0.3']]]] },
      { op: 'delete', table: 'Address_Set', where: set },
    ];
    operations.forEach((operation, i) => {
      socket.write(JSON.stringify({ id: n * 10 + i + 10, method: 'transact', params: ['OVN_Northbound', operation] }));
    });
    const messages = await collect(socket, n * 10 + operations.length + 9);
    const updates = messages.filter((message) => message.includes('"method":"update3"'));
    if (updates.length !== operations.length) {
      throw new Error(
        `${operations.length} transactions gave ${updates.length} updates:\n${messages.join('\n').slice(0, 2000)}`,
      );
    }
    frames += updates.length;
    out.write(`${updates.join('\n')}\n`);
  }
  socket.destroy();
  out.end();
  await once(out, 'finish');
}

/** A dump of about `bytes`: the recorded ports again and again, under new UUIDs and names. Returns its size. */
export async function enlargeDump(from: string, bytes: number, to: string): Promise<number> {
  let text = '';
  for await (const line of createInterface({ input: createReadStream(from) })) {
    text += line;
  }
  const [found, last, tables] = JSON.parse(text) as [
    boolean,
    string,
    { Logical_Switch_Port: Record<string, { initial: { name: string } }> },
  ];
  const rows = Object.values(tables.Logical_Switch_Port);
  const out = createWriteStream(to);
  const written = { size: 0 };
  const put = async (part: string): Promise<void> => {
    written.size += Buffer.byteLength(part);
    if (!out.write(part)) {
      await once(out, 'drain');
    }
  };
  await put(`[${found},${JSON.stringify(last)},{"Logical_Switch_Port":{`);
  for (let i = 0; written.size < bytes; i += 1) {
    const row = rows[i % rows.length]?.initial;
    const copy = { ...row, name: `${row?.name}-${Math.floor(i / rows.length)}` };
    await put(`${i === 0 ? '' : ','}"${randomUUID()}":${JSON.stringify({ initial: copy })}`);
  }
  await put('}}]');
  out.end();
  await once(out, 'finish');
  return written.size;
}
