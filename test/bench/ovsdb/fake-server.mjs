// A server that plays back a recording. Arguments: SOCKET SCHEMA DUMP [FRAMES].
// DUMP is the result of monitor_cond_since; FRAMES is what is sent before the reply to each transact.
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';

const [path, schemaPath, dumpPath, framesPath] = process.argv.slice(2);
const schema = JSON.parse(readFileSync(schemaPath, 'utf8'));
const dump = readFileSync(dumpPath);
const frames = framesPath === undefined ? Buffer.alloc(0) : readFileSync(framesPath);
const status = { name: schema.name, model: 'standalone', connected: true, leader: true };

function answer(socket, { id, method }) {
  const reply = (result) => socket.write(JSON.stringify({ id, result, error: null }));
  switch (method) {
    case 'monitor_cond':
      return reply({ Database: { '00000000-0000-4000-8000-000000000001': { initial: status } } });
    case 'get_schema':
      return reply(schema);
    case 'monitor_cond_since':
      socket.write(`{"id":${id},"result":`);
      socket.write(dump);
      return socket.write(',"error":null}');
    case 'transact':
      socket.write(frames);
      return reply([{}]);
    default:
      return reply({});
  }
}

createServer((socket) => {
  let text = '';
  socket.on('error', () => undefined);
  socket.on('data', (chunk) => {
    text += chunk;
    let request;
    try {
      request = JSON.parse(text);
    } catch {
      return;
    }
    text = '';
    answer(socket, request);
  });
}).listen(path, () => process.stdout.write('ready\n'));
