/** Vitest's global set-up for the e2e project. */
export { shareLab as setup } from './lab.ts';
