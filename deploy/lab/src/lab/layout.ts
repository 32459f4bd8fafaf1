import { join } from 'node:path';
import type { NodeAddresses } from '../fabric/addresses.ts';

/** Files of one node in the state directory. */
export interface NodeLayout {
  readonly directory: string;
  /** OVS_RUNDIR and OVN_RUNDIR of the node's daemons. */
  readonly run: string;
  /** Socket of the node's Open_vSwitch database. */
  readonly db: string;
  readonly dbFile: string;
  readonly cniSocket: string;
  readonly querySocket: string;
  readonly cniBin: string;
  readonly cniConf: string;
}

/** The state directory's layout: a contract that people and tests script against (docs/architecture.md, 6). */
export interface Layout {
  readonly directory: string;
  readonly state: string;
  readonly lock: string;
  readonly kubeconfig: string;
  readonly central: {
    readonly directory: string;
    readonly northbound: string;
    readonly southbound: string;
    readonly northboundFile: string;
    readonly southboundFile: string;
  };
  readonly api: string;
  readonly kubelet: string;
  readonly kubeletSocket: string;
  readonly log: string;
  readonly pki: string;
  readonly config: string;
  readonly run: string;
  readonly node: (name: string) => NodeLayout;
}

/** The layout of a state directory. */
export function layoutOf(directory: string): Layout {
  const central = join(directory, 'central');
  return {
    directory,
    state: join(directory, 'lab.json'),
    // Beside the directory, so that `lab down` can hold it while it removes the directory.
    lock: `${directory}.lock`,
    kubeconfig: join(directory, 'kubeconfig'),
    central: {
      directory: central,
      northbound: join(central, 'ovnnb_db.sock'),
      southbound: join(central, 'ovnsb_db.sock'),
      northboundFile: join(central, 'ovnnb.db'),
      southboundFile: join(central, 'ovnsb.db'),
    },
    api: join(directory, 'api'),
    kubelet: join(directory, 'kubelet'),
    kubeletSocket: join(directory, 'kubelet.sock'),
    log: join(directory, 'log'),
    pki: join(directory, 'pki'),
    config: join(directory, 'config'),
    run: join(directory, 'run'),
    node: (name) => {
      const node = join(directory, 'nodes', name);
      return {
        directory: node,
        run: join(node, 'run'),
        db: join(node, 'db.sock'),
        dbFile: join(node, 'conf.db'),
        cniSocket: join(node, 'cni.sock'),
        querySocket: join(node, 'query.sock'),
        cniBin: join(node, 'cni', 'bin'),
        cniConf: join(node, 'cni', 'net.d'),
      };
    },
  };
}

/** What a lab is made of, as asked for at `lab up`. */
export interface LabOptions {
  readonly nodes: number;
  /** IPv4 and IPv6, else IPv4 only. */
  readonly dualStack: boolean;
  /** Only databases, northd and the nodes' switches: no Kubernetes, no controller, no agents. */
  readonly fabricOnly: boolean;
  /** Whether `lab down` keeps the API's objects and the northbound database for the next `lab up`. */
  readonly keepState: boolean;
  /** Processes that `lab up` leaves out: names (`node-2.agent`) or kinds (`agent`). */
  readonly without: readonly string[];
}

/** One node of the lab. */
export interface LabNode {
  readonly name: string;
  readonly namespace: string;
  readonly addresses: NodeAddresses;
}

/** Content of `lab.json`: the options and every name that the lab uses. */
export interface LabState {
  readonly version: 1;
  readonly directory: string;
  /** `starting` also is what a `lab up` leaves that did not get to its end. */
  readonly phase: 'starting' | 'up';
  readonly options: LabOptions;
  readonly namespaces: { readonly fabric: string; readonly podPrefix: string };
  readonly nodes: readonly LabNode[];
}
