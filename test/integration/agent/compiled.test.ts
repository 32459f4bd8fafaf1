import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { type Ended, exec } from './exec.ts';

const main = fileURLToPath(new URL('../../../agent/src/main.ts', import.meta.url));
/** Says at the end whether the process ever loaded what strips types from modules. */
const witness = `data:text/javascript,${encodeURIComponent(
  "process.on('exit', () => console.log(process.moduleLoadList.some((name) => name.includes('deps/amaro'))))",
)}`;

/** Runs an agent that has no configuration: it loads everything and ends with a message. */
async function agent(cache: string | undefined): Promise<Ended> {
  const { NODE_COMPILE_CACHE: _, ...env } = process.env;
  return await exec([process.execPath, '--import', witness, main], {
    env: cache === undefined ? env : { ...env, NODE_COMPILE_CACHE: cache },
  });
}

describe('what strips types from modules', () => {
  test('does not stay in memory, also where the compile cache was empty', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'ovenbird-cache-'));
    try {
      for (const start of ['with an empty cache', 'with a full one']) {
        const { status, stdout, stderr } = await agent(join(directory, 'cache'));
        expect({ start, status, stdout }).toEqual({ start, status: 1, stdout: 'false\n' });
        expect(stderr).toBe('ovenbird agent: usage: agent/src/main.ts --config FILE.json\n');
      }
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  });

  test('stays where there is no cache, and the agent starts all the same', async () => {
    const { status, stdout, stderr } = await agent(undefined);
    expect({ status, stdout }).toEqual({ status: 1, stdout: 'true\n' });
    expect(stderr).toBe('ovenbird agent: usage: agent/src/main.ts --config FILE.json\n');
  });

  test('stays where the cache cannot be written', async () => {
    const { status, stdout } = await agent(join(main, 'cache'));
    expect({ status, stdout }).toEqual({ status: 1, stdout: 'true\n' });
  });
});
