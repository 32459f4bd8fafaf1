export { isTool, toolCommand } from './commands/pass-through.ts';
export { table } from './table.ts';
