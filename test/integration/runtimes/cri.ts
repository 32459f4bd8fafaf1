/** A client of the Container Runtime Interface (k8s.io/cri-api, pkg/apis/runtime/v1), as much of it as a kubelet's tests need. */
import { Client, credentials } from '@grpc/grpc-js';
import { type Content, decode, encode, type Message } from './protobuf.ts';

const metadata: Message = { name: [1, 'string'], uid: [2, 'string'], namespace: [3, 'string'], attempt: [4, 'number'] };
const portMapping: Message = {
  protocol: [1, 'number'],
  containerPort: [2, 'number'],
  hostPort: [3, 'number'],
  hostIp: [4, 'string'],
};
const sandboxConfig: Message = {
  metadata: [1, metadata],
  hostname: [2, 'string'],
  logDirectory: [3, 'string'],
  portMappings: [5, portMapping, 'list'],
};
const containerConfig: Message = {
  metadata: [1, { name: [1, 'string'], attempt: [2, 'number'] }],
  image: [2, { image: [1, 'string'] }],
  command: [3, 'string', 'list'],
  args: [4, 'string', 'list'],
  logPath: [11, 'string'],
};
const sandboxId: Message = { podSandboxId: [1, 'string'] };
const containerId: Message = { containerId: [1, 'string'] };
const network: Message = { ip: [1, 'string'], additionalIps: [2, { ip: [1, 'string'] }, 'list'] };
const condition: Message = { type: [1, 'string'], status: [2, 'bool'], reason: [3, 'string'], message: [4, 'string'] };

/** Methods of RuntimeService: request and response. */
const methods = {
  Status: [{ verbose: [1, 'bool'] }, { status: [1, { conditions: [1, condition, 'list'] }] }],
  RunPodSandbox: [{ config: [1, sandboxConfig] }, sandboxId],
  StopPodSandbox: [sandboxId, {}],
  RemovePodSandbox: [sandboxId, {}],
  PodSandboxStatus: [sandboxId, { status: [1, { id: [1, 'string'], state: [3, 'number'], network: [5, network] }] }],
  ListPodSandbox: [{}, { items: [1, { id: [1, 'string'] }, 'list'] }],
  CreateContainer: [
    { podSandboxId: [1, 'string'], config: [2, containerConfig], sandboxConfig: [3, sandboxConfig] },
    containerId,
  ],
  StartContainer: [containerId, {}],
  ExecSync: [
    { containerId: [1, 'string'], cmd: [2, 'string', 'list'], timeout: [3, 'number'] },
    { stdout: [1, 'bytes'], stderr: [2, 'bytes'], exitCode: [3, 'number'] },
  ],
} as const satisfies Record<string, readonly [Message, Message]>;

/** A pod as the kubelet describes it to the runtime. */
export interface SandboxConfig extends Content {
  readonly metadata: { readonly name: string; readonly uid: string; readonly namespace: string };
  readonly portMappings?: readonly { readonly containerPort: number; readonly hostPort: number }[];
}

/** A connection to a runtime. */
export class Cri {
  readonly #client: Client;

  constructor(socket: string) {
    this.#client = new Client(`unix:${socket}`, credentials.createInsecure());
  }

  close(): void {
    this.#client.close();
  }

  /** Condition `NetworkReady`, with its message. */
  async networkReady(): Promise<{ readonly status: boolean; readonly message: string }> {
    const { status } = await this.#call('Status', {});
    const { conditions } = status as { conditions: { type: string; status: boolean; message: string }[] };
    return conditions.find(({ type }) => type === 'NetworkReady') ?? { status: false, message: 'no such condition' };
  }

  /** @returns the sandbox's id. @throws ServiceError with what the network said */
  async runSandbox(config: SandboxConfig): Promise<string> {
    return (await this.#call('RunPodSandbox', { config }))['podSandboxId'] as string;
  }

  /** Addresses of a sandbox, and whether it is ready. */
  async sandbox(id: string): Promise<{ readonly ready: boolean; readonly ips: readonly string[] }> {
    const { status } = await this.#call('PodSandboxStatus', { podSandboxId: id });
    const { state, network: net } = status as {
      state: number;
      network?: { ip: string; additionalIps: { ip: string }[] };
    };
    return { ready: state === 0, ips: net === undefined ? [] : [net.ip, ...net.additionalIps.map(({ ip }) => ip)] };
  }

  async sandboxes(): Promise<readonly string[]> {
    return ((await this.#call('ListPodSandbox', {}))['items'] as { id: string }[]).map(({ id }) => id);
  }

  async removeSandbox(id: string): Promise<void> {
    await this.#call('StopPodSandbox', { podSandboxId: id });
    await this.#call('RemovePodSandbox', { podSandboxId: id });
  }

  /** Creates and starts a container. @returns its id */
  async start(sandbox: string, config: SandboxConfig, image: string, command: readonly string[]): Promise<string> {
    const created = await this.#call('CreateContainer', {
      podSandboxId: sandbox,
      config: { metadata: { name: 'main' }, image: { image }, command },
      sandboxConfig: config,
    });
    await this.#call('StartContainer', { containerId: created['containerId'] });
    return created['containerId'] as string;
  }

  /** Runs a command in a container. */
  async exec(
    container: string,
    ...cmd: readonly string[]
  ): Promise<{ readonly code: number; readonly output: string }> {
    const { stdout, stderr, exitCode } = await this.#call('ExecSync', { containerId: container, cmd, timeout: 10 });
    return { code: exitCode as number, output: `${(stdout as Buffer).toString()}${(stderr as Buffer).toString()}` };
  }

  #call(method: keyof typeof methods, content: Content): Promise<Record<string, unknown>> {
    const [request, response] = methods[method] as readonly [Message, Message];
    return new Promise((resolve, reject) => {
      this.#client.makeUnaryRequest(
        `/runtime.v1.RuntimeService/${method}`,
        (value: Content) => encode(request, value),
        (bytes) => decode(response, bytes),
        content,
        { deadline: Date.now() + 90_000 },
        (error, value) =>
          error === null && value !== undefined ? resolve(value) : reject(error ?? new Error('no answer')),
      );
    });
  }
}
