/**
 * `createServer` of node:http. An `import` of that module reads all its exports, and WebSocket among them loads Node's own
 * copy of fetch: 5 MB of memory on every node of a cluster.
 */
export const createServer: typeof import('node:http').createServer = process.getBuiltinModule('node:http').createServer;
