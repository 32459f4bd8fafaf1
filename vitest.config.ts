import { defineConfig, type ViteUserConfig } from 'vitest/config';

const policy = ['test/e2e/network-policy.test.ts', 'test/e2e/cluster-policy.test.ts'];

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
      { test: { name: 'unit', include: ['*/src/**/*.test.ts', 'deploy/lab/src/**/*.test.ts'], testTimeout: 20_000 } },
      {
        test: {
          name: 'integration',
          include: ['test/integration/**/*.test.ts'],
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      {
        // Conformance cases, on a lab of their own: they only wait, so `npm test` runs them beside the layers before.
        test: { ...lab, name: 'policy', include: policy },
      },
      {
        test: {
          ...lab,
          name: 'e2e',
          include: ['test/e2e/**/*.test.ts'],
          exclude: policy,
        },
      },
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
