import { readFileSync } from 'node:fs';
import { Agent, request } from 'node:https';
import { text } from 'node:stream/consumers';
import { z } from 'zod';
import { AgentError, messageOf } from '../error.ts';

/** The rule of a policy or Subnet that a flow carries out. */
export interface FlowRule {
  /** Kind of the object; empty when the ACL is not Ovenbird's. */
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly rule: string;
  /** As seen from the pod. */
  readonly direction: 'ingress' | 'egress';
  readonly action: 'allow' | 'drop' | 'reject' | 'pass';
}

/** What a flow of br-int stands for. */
export interface FlowMeaning {
  readonly stage: string;
  /** Name of the Subnet or Vpc. */
  readonly datapath: string;
  readonly rule?: FlowRule | undefined;
}

/** A stage of the logical pipeline whose OpenFlow table is looked at. */
export interface StageInfo {
  readonly name: string;
  readonly acl: boolean;
  readonly direction: 'ingress' | 'egress';
  /** Why packets are dropped there when no rule says so. */
  readonly reason: string;
  /** Cookies of some of its flows, 8 hexadecimal digits. */
  readonly examples: readonly string[];
}

const direction: z.ZodType<'ingress' | 'egress'> = z.enum(['ingress', 'egress']);
const ruleShape: z.ZodType<FlowRule> = z.object({
  kind: z.string(),
  namespace: z.string(),
  name: z.string(),
  rule: z.string(),
  direction,
  action: z.enum(['allow', 'drop', 'reject', 'pass']),
});
const meaningShape: z.ZodType<FlowMeaning> = z.object({
  stage: z.string(),
  datapath: z.string(),
  rule: ruleShape.optional(),
});
const flowsShape: z.ZodType<{ flows: Record<string, FlowMeaning> }> = z.object({
  flows: z.record(z.string(), meaningShape),
});
const stageShape: z.ZodType<StageInfo> = z.object({
  name: z.string(),
  acl: z.boolean(),
  direction,
  reason: z.string(),
  examples: z.array(z.string().regex(/^[0-9a-f]{8}$/)).max(64),
});
const stagesShape: z.ZodType<{ stages: StageInfo[] }> = z.object({ stages: z.array(stageShape).max(64) });

/** Who knows what flows mean: the controller. */
export interface Explainer {
  /** @throws AgentError `try-again` when no controller answers */
  stages(): Promise<readonly StageInfo[]>;
  /**
   * @param keys `<cookie>.<datapath>`: 8 hexadecimal digits, and the tunnel key
   * @returns what is known, by key
   * @throws AgentError `try-again`
   */
  flows(keys: readonly string[]): Promise<ReadonlyMap<string, FlowMeaning>>;
}

/** Where controllers answer, and what proves who asks. */
export interface ExplainerOptions {
  /** `https://address:port`, asked in turn until one answers. */
  readonly urls: readonly string[];
  /** Paths of PEM files. */
  readonly tls: { readonly key: string; readonly cert: string; readonly ca: string };
}

const TIMEOUT_MS = 5000;
/** Questions in one request; the server takes 4096. */
const BATCH = 2000;

/**
 * Asks controllers over mutual TLS.
 * @throws AgentError `invalid-config` when a file cannot be read
 */
export function httpsExplainer({ urls, tls }: ExplainerOptions): Explainer {
  const agent = new Agent({
    ...read(tls),
    keepAlive: true,
    maxSockets: 1,
    minVersion: 'TLSv1.2',
    // As OVN's own clients do: certificates of ovs-pki(8) carry no host names, whoever the authority signed is trusted.
    checkServerIdentity: () => undefined,
  });
  let preferred = 0;

  async function ask(path: string, body?: unknown): Promise<unknown> {
    const failures: string[] = [];
    for (let attempt = 0; attempt < urls.length; attempt += 1) {
      const at = (preferred + attempt) % urls.length;
      const url = new URL(path, urls[at]);
      try {
        const answer = await exchange(agent, url, body);
        preferred = at;
        return answer;
      } catch (error) {
        failures.push(`${url.host}: ${messageOf(error)}`);
      }
    }
    throw new AgentError('try-again', `no controller explains flows: ${failures.join('; ')}`);
  }

  return {
    stages: async () => checked(stagesShape, await ask('/v1/stages')).stages,
    flows: async (keys) => {
      const known = new Map<string, FlowMeaning>();
      for (let at = 0; at < keys.length; at += BATCH) {
        const { flows } = checked(flowsShape, await ask('/v1/flows', { flows: keys.slice(at, at + BATCH) }));
        for (const [key, meaning] of Object.entries(flows)) known.set(key, meaning);
      }
      return known;
    },
  };
}

function read(tls: ExplainerOptions['tls']): Record<'key' | 'cert' | 'ca', Buffer> {
  try {
    return { key: readFileSync(tls.key), cert: readFileSync(tls.cert), ca: readFileSync(tls.ca) };
  } catch (cause) {
    throw new AgentError('invalid-config', `certificate for look-ups: ${String(cause)}`, { cause });
  }
}

function checked<T>(shape: z.ZodType<T>, answer: unknown): T {
  const parsed = shape.safeParse(answer);
  if (parsed.success) return parsed.data;
  throw new AgentError('try-again', `the controller's answer cannot be read: ${z.prettifyError(parsed.error)}`);
}

function exchange(agent: Agent, url: URL, body: unknown): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const sent = body === undefined ? undefined : JSON.stringify(body);
    const headers = sent === undefined ? {} : { 'content-type': 'application/json' };
    const asking = request(
      url,
      { agent, method: sent === undefined ? 'GET' : 'POST', headers, signal: AbortSignal.timeout(TIMEOUT_MS) },
      (response) => {
        text(response).then((answer) => {
          if (response.statusCode === 200) resolve(JSON.parse(answer));
          else reject(new Error(`HTTP ${response.statusCode ?? 0} ${answer.trim()}`));
        }, reject);
      },
    );
    asking.once('error', reject);
    asking.end(sent);
  });
}
