import type { Said } from './messages.ts';

/** Why the API server did not do something: `<verb> <resource> [<object>]: ... (<code>)`, and the socket's own words again. */
const apiServer: readonly RegExp[] = [
  /^(get|list|watch|create|replace|patch|delete) (status of )?[a-z0-9./-]+( \S+)?: [^()]+ \((network|timeout|unavailable)\)(: .*)?$/,
];

/** Why a database did not do something: which one, and what became of the connection. */
const databases: readonly RegExp[] = [
  /^disconnected: not connected to (OVN_Northbound|OVN_Southbound|Open_vSwitch): wait for synced\(\) and try again/,
  /^disconnected: the peer closed the connection$/,
  /^disconnected: (read|write) E[A-Z]+\b/,
  /^disconnected: transact was not sent: /,
  /^inactive: the peer was silent for \d+ ms$/,
  /^connect_failed: (unix|tcp|ssl):\S+: (connect E[A-Z]+\b|read E[A-Z]+\b|no answer within \d+ ms|.* closed)/,
  /^outcome_unknown: the connection ended before the reply to transact \(.*\): whether it was carried out shows in the replica once it is in sync again/,
];

/** What is tried again or waited for by itself, with the reasons for it that a person has read. */
const tried: readonly (readonly [what: RegExp, reasons: readonly RegExp[]])[] = [
  [/^cannot watch, is tried again$/, apiServer],
  [/^an announcement failed, is tried again$/, apiServer],
  [/^a status was not written, is tried again$/, apiServer],
  [/^the lease could not be renewed or taken, is tried again$/, apiServer],
  [/^waiting for the API server: is it up, and the kubeconfig right\?$/, apiServer],
  [/^failed, is tried again$/, [...apiServer, ...databases]],
  [/^the chassis of removed nodes could not be removed, is tried again$/, databases],
  [/^(north|south)bound database: disconnected, is connected again as soon as it answers$/, databases],
  [
    /^not written to the northbound database, is tried again later or when it changes$/,
    [...databases, /: No space left on device\b/],
  ],
  // Programs that show what changes on a node.
  [/^[\w-]+ monitor ended, is tried again: .* go unseen until it runs$/, [/^exit status -?\d+$/]],
];

/** What an ADD says that the runtime repeats. */
const additions: readonly string[] = [
  String.raw`the local Open vSwitch database does not answer on \S+( \(.*\))?: does ovsdb-server run on this node, and has it this socket\?`,
  String.raw`the CNI client went away before ADD was done: undone, the runtime asks again`,
  String.raw`cannot look up pod \S+ at the API server, the runtime asks again; .*\?.*`,
  String.raw`the MTU of the underlay is not known yet, the runtime asks again; (the agent has just started|the Node \S+ has not been read yet: is the API server up, and does the Node exist\?)`,
  // A pod that goes while it comes needs nothing.
  String.raw`pod faults\/\S+ was deleted while it waited for its address`,
  String.raw`waited \d+ s for the controller to .*; is it running\?`,
  String.raw`waited \d+ s for OVN to install the flows of [^:]*: (.*\?|ovs-vswitchd says: .*)`,
];

/** Why a node that is asked through the overlay does not answer. */
const silence = String.raw`(no answer in \d+ ms|\w+ E[A-Z]+( \S+)?)`;

/**
 * What else controller, agents and events say when things break, as a person has read it: it names what is wrong and where,
 * and what to do. A message that is not here makes the test fail: look at it, mend it, add it.
 */
const reviewed: readonly RegExp[] = [
  ...additions.map((text) => new RegExp(`^(cni|Failed to create pod sandbox): (.*: )?${text}$`)),
  // Whose turn it is, is said.
  /^ended: the lease was lost: another controller takes over$/,
  /^(ovs-vswitchd|ovn-controller) does not run on this node: start it$/,
  /^the local Open vSwitch database does not answer on \S+ \(.*\): does ovsdb-server run on this node, and has it this socket\? Pods are neither attached nor detached meanwhile$/,
  /^(out of service: )?pods cannot be attached: (ovs-vswitchd|ovn-controller) does not run on this node .* until it is started$/,
  /^(out of service: )?pods cannot be attached: the local Open vSwitch database does not answer on \S+: does ovsdb-server run on this node, and has it this socket\?$/,
  /^(out of service: )?pods cannot be attached: ovn-controller is not connected to the southbound database \S+: .*; is the database up, and does this node reach it\?$/,
  /^(out of service: )?pods cannot be attached: OVN has not installed the flows of the node's port: is ovn-controller connected to the southbound database \S+, and does ovn-northd run\?$/,
  // What nodes say of their neighbours.
  new RegExp(
    `^the router of the join network does not answer on ovn0; look at ovs-vswitchd and ovn-controller of this node: (\\S+: ${silence}(, )?)+$`,
  ),
  new RegExp(
    `^nodes do not answer through the tunnel; see whether UDP port 6081 passes between the nodes, and whether they run: (\\S+ \\(\\S+\\): ${silence}(, )?)+$`,
  ),
  /^Failed to create pod sandbox: .*the Ovenbird agent is not serving \S+ \(E[A-Z]+\): is it running on this node\?$/,
  /^Failed to create pod sandbox: .*the Ovenbird agent ended before it answered$/,
  // The lab's own kubelet.
  /^Failed to create pod sandbox: no \*\.conflist in \S+: the node's agent has not started serving$/,
];

/** What only a defect of ours says, in the words of the language and of V8. */
const defects: readonly RegExp[] = [
  /\b(Type|Reference|Range|Syntax|Eval|Assertion)Error\b/,
  /is not a function|is not iterable|is not defined|is not a constructor|\[object \w+\]|\bNaN\b/,
  /\bundefined\b|of null\b|\binternal\b|\ba defect\b/,
];

/** The errors of a stack, without the places, which name files of Node itself. */
const errorsOf = (stack: string): string =>
  stack
    .split('\n')
    .filter((line) => !/^\s+at /.test(line))
    .join('\n');

const wholeText = ({ text, reason }: Said): string => (reason === undefined ? text : `${text}: ${reason}`);

function isReviewed(said: Said): boolean {
  const { text, reason = '', stack = '' } = said;
  const whole = wholeText(said);
  if (defects.some((pattern) => pattern.test(whole) || pattern.test(errorsOf(stack)))) return false;
  return (
    reviewed.some((pattern) => pattern.test(whole)) ||
    tried.some(([what, reasons]) => what.test(text) && reasons.some((pattern) => pattern.test(reason)))
  );
}

/** Messages that nobody has reviewed, each once. */
export function unreviewed(said: readonly Said[]): readonly string[] {
  return [...new Set(said.filter((one) => !isReviewed(one)).map((one) => `${one.who}: ${wholeText(one)}`))];
}
