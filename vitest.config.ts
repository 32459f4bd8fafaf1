import { defineConfig, type ViteUserConfig } from 'vitest/config';

/** End-to-end files that count no packets and measure no rates: they may share the machine with other layers. */
const beside = [
  'addresses',
  'attachments',
  'cluster-policy',
  'default-subnet',
  'dhcp',
  'docs',
  'import',
  'ip-pool',
  'network-policy',
  'node-boot',
  'node-reach',
  'node-removal',
  'node-underlay',
  'path',
  'pod-life',
  'security-groups',
  'static-address',
  'subnet',
  'vip',
].map(file);

/** Those that count packets, each beside a pair that nobody touches: another lab at work at the same time is nothing to them. */
const packets = [
  'cluster-policy-changes',
  'drops',
  'node-restarts',
  'policy-changes',
  'policy-connections',
  'recovery',
  'security-group-changes',
].map(file);

function file(name: string): string {
  return `test/e2e/${name}.test.ts`;
}

/** One lab for all files of a run. */
const lab = {
  globalSetup: 'test/src/shared-lab.ts',
  testTimeout: 120_000,
  hookTimeout: 240_000,
  fileParallelism: false,
  pool: 'forks',
} as const;

/**
 * Test layers (see CONTRIBUTING.md): `unit` stands beside the code and needs no process; `integration` runs real
 * daemons (ovsdb-server ...); `e2e` runs on the lab; `long` holds what only `npm run test:all` runs.
 */
const config: ViteUserConfig = defineConfig({
  test: {
    reporters: ['default'],
    projects: [
      {
        test: {
          name: 'unit',
          include: ['*/src/**/*.test.ts', 'deploy/lab/src/**/*.test.ts'],
          testTimeout: 120_000,
          // They keep nothing in modules, and to load these for each file would take as long as the tests.
          isolate: false,
        },
      },
      {
        test: {
          name: 'integration',
          include: ['test/integration/**/*.test.ts'],
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      {
        // On a lab of their own: they mostly wait, so `npm test` runs them beside unit and integration tests.
        test: { ...lab, name: 'e2e-beside', include: beside },
      },
      { test: { ...lab, name: 'e2e-packets', include: packets } },
      { test: { ...lab, name: 'e2e', include: ['test/e2e/**/*.test.ts'], exclude: [...beside, ...packets] } },
      {
        test: {
          name: 'long',
          include: ['test/long/**/*.test.ts'],
          testTimeout: 1_800_000,
          hookTimeout: 600_000,
          fileParallelism: false,
        },
      },
    ],
  },
});
export default config;
