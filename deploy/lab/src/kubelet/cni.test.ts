import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { CniRunner, type CniTarget, findConflist, loadConflist, parseConflist, podAddresses } from './cni.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'ovenbird-cni-'));
});
afterEach(() => {
  rmSync(dir, { recursive: true });
});

const target: CniTarget = { containerId: 'c1', netns: '/run/netns/x', podNamespace: 'ns', podName: 'p', podUid: 'u' };
const live = new AbortController().signal;

/** A plugin that appends what it got to a file and answers with a fixed result. */
function plugin(name: string, answer: string, exit = 0): void {
  const script = `#!/bin/sh\necho "${name} $CNI_COMMAND $CNI_ARGS $(cat)" >> ${dir}/log\necho '${answer}'\nexit ${exit}\n`;
  writeFileSync(join(dir, name), script);
  chmodSync(join(dir, name), 0o755);
}

const log = (): string[] => readFileSync(join(dir, 'log'), 'utf8').trim().split('\n');
const list = { cniVersion: '1.1.0', name: 'net', plugins: [{ type: 'one', socket: '/s' }, { type: 'two' }] };
const runner = (): CniRunner => new CniRunner({ binDir: dir, enter: [] });

describe('conflist', () => {
  test('the first by name is taken', () => {
    expect(findConflist(dir)).toBeUndefined();
    expect(() => loadConflist(dir)).toThrow(/no \*\.conflist in/);
    for (const name of ['20-b.conflist', '10-a.conflist', '00-c.conf']) {
      writeFileSync(join(dir, name), JSON.stringify({ ...list, name }));
    }
    expect(loadConflist(dir).name).toBe('10-a.conflist');
  });

  test.each([
    '',
    '{',
    '{}',
    '{"name":"x","cniVersion":"1.0.0","plugins":[]}',
    '{"name":"x","cniVersion":"1.0.0","plugins":[{}]}',
  ])('refuses %j', (text) => {
    expect(() => parseConflist(text, 'file.conflist')).toThrow(/^file\.conflist/);
  });
});

describe('plugins', () => {
  test('ADD chains the results in order, DEL goes back', async () => {
    plugin('one', '{"cniVersion":"1.1.0","ips":[{"address":"10.0.0.2/24"}]}');
    plugin('two', '{"cniVersion":"1.1.0","ips":[{"address":"10.0.0.3/24"}]}');
    const result = await runner().add(list, target, live);
    expect(podAddresses(result)).toEqual(['10.0.0.3']);
    await runner().del(list, target, result, live);
    const calls = log().map((line) => {
      const [name, command, args, ...rest] = line.split(' ');
      return { name, command, args, config: JSON.parse(rest.join(' ')) as Record<string, unknown> };
    });
    expect(calls.map(({ name, command }) => `${name} ${command}`)).toEqual([
      'one ADD',
      'two ADD',
      'two DEL',
      'one DEL',
    ]);
    expect(calls[0]?.config).toEqual({ type: 'one', socket: '/s', cniVersion: '1.1.0', name: 'net' });
    expect(calls[1]?.config['prevResult']).toMatchObject({ ips: [{ address: '10.0.0.2/24' }] });
    expect(calls[3]?.config['prevResult']).toEqual(result);
    expect(calls[0]?.args).toBe(
      'IgnoreUnknown=1;K8S_POD_NAMESPACE=ns;K8S_POD_NAME=p;K8S_POD_INFRA_CONTAINER_ID=c1;K8S_POD_UID=u',
    );
  });

  test('CHECK goes forth with the result of ADD, where the version has it and the list wants it', async () => {
    for (const name of ['one', 'two']) plugin(name, '');
    const result = { ips: [{ address: '10.0.0.3/24' }] };
    await runner().check({ ...list, cniVersion: '0.3.1' }, target, result, live);
    await runner().check({ ...list, disableCheck: true }, target, result, live);
    await runner().check({ ...list, cniVersion: '0.4.0' }, target, result, live);
    expect(log()).toEqual([
      expect.stringMatching(/^one CHECK .*"prevResult":{"ips":\[{"address":"10.0.0.3\/24"}]}/),
      expect.stringMatching(/^two CHECK .*"prevResult":{"ips"/),
    ]);
  });

  test('Multus repeats the arguments it was called with, and adds what is asked for to ADD', async () => {
    plugin('one', '{"cniVersion":"1.1.0"}');
    const one = { ...list, plugins: [{ type: 'one' }] };
    const called = { ...target, multus: ['MAC=02:00:00:00:00:01', 'IP=10.0.0.2,fd00::2'] };
    await runner().add(one, called, live);
    await runner().del(one, called, undefined, live);
    const own = 'K8S_POD_NAMESPACE=ns;K8S_POD_NAME=p;K8S_POD_INFRA_CONTAINER_ID=c1;K8S_POD_UID=u';
    const both = `IgnoreUnknown=true;${own};IgnoreUnknown=1;${own}`;
    expect(log().map((line) => line.split(' ')[2])).toEqual([
      `${both};MAC=02:00:00:00:00:01;IP=10.0.0.2,fd00::2`,
      both,
    ]);
  });

  test('an error object becomes the message, with its code', async () => {
    plugin('one', '{"cniVersion":"1.1.0","code":11,"msg":"try again","details":"no address"}', 1);
    await expect(runner().add(list, target, live)).rejects.toMatchObject({
      code: 11,
      message: 'plugin type="one" failed (add): try again: no address',
    });
  });

  test('a plugin that dies without a word, or is missing, is named', async () => {
    plugin('one', 'oops', 3);
    await expect(runner().add(list, target, live)).rejects.toThrow('plugin type="one" failed (add), exit 3: oops');
    const absent = { ...list, plugins: [{ type: 'absent' }] };
    await expect(runner().add(absent, target, live)).rejects.toThrow(/cannot run .*absent.*ENOENT/);
    const evil = { ...list, plugins: [{ type: '../sh' }] };
    await expect(runner().add(evil, target, live)).rejects.toThrow(/cannot be the name/);
  });

  test('an aborted plugin is killed', async () => {
    writeFileSync(join(dir, 'one'), '#!/bin/sh\nexec sleep 1000\n');
    chmodSync(join(dir, 'one'), 0o755);
    const over = new AbortController();
    const adding = runner().add(list, target, over.signal);
    over.abort();
    await expect(adding).rejects.toThrow(/cannot run/);
  });
});

test('addresses: only those of the interface inside the sandbox', () => {
  const result = {
    interfaces: [{ name: 'h1' }, { name: 'eth0', sandbox: '/run/netns/x' }],
    ips: [
      { address: '10.0.0.1/24', interface: 0 },
      { address: '10.0.0.2/24', interface: 1 },
      { address: 'fd00::2/64', interface: 1 },
    ],
  };
  expect(podAddresses(result)).toEqual(['10.0.0.2', 'fd00::2']);
});
