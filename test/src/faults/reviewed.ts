import type { Said } from './messages.ts';

/**
 * What controller, agents and events say when things break, as a person has read it: it names what is wrong and where, and
 * what to do, or that it is tried again. A message that is not here makes the test fail: look at it, mend it, add it.
 */
const reviewed: readonly RegExp[] = [
  // What goes on by itself says so, whatever the reason behind it.
  /^[^:]+, is tried again(: |$)/,
  /^(north|south)bound database: disconnected, is connected again as soon as it answers: /,
  /^not written to the northbound database, is tried again later or when it changes: /,
  /^waiting for the API server: is it up, and the kubeconfig right\?/,
  /^cni: the CNI client went away before ADD was done: undone, the runtime asks again$/,
  /^(Failed to create pod sandbox: .*|cni: )cannot look up pod \S+ at the API server, the runtime asks again; .*\?/,
  /^(Failed to create pod sandbox: .*|cni: )the MTU of the underlay is not known yet, the runtime asks again; (the agent has just started$|the Node \S+ has not been read yet: is the API server up, and does the Node exist\?$)/,
  // A pod that goes while it comes needs nothing.
  /pod faults\/\S+ was deleted while it waited for its address$/,
  // Whose turn it is, is said.
  /^ended: the lease was lost: another controller takes over$/,
  /^(ovs-vswitchd|ovn-controller) does not run on this node: start it$/,
  /^out of service: pods cannot be attached: (ovs-vswitchd|ovn-controller) does not run on this node .* until it is started$/,
  /^Failed to create pod sandbox: .*the Ovenbird agent is not serving \S+ \(E[A-Z]+\): is it running on this node\?$/,
  /^Failed to create pod sandbox: .*the Ovenbird agent ended before it answered$/,
  /^(Failed to create pod sandbox: .*|cni: )waited \d+ s for the controller to .*; is it running\?/,
  /^(Failed to create pod sandbox: .*|cni: )waited \d+ s for OVN to install the flows of .*: (.*\?|ovs-vswitchd says: .*)$/,
  // The lab's own kubelet.
  /^Failed to create pod sandbox: no \*\.conflist in \S+: the node's agent has not started serving$/,
];

/** Messages that nobody has reviewed, each once. */
export function unreviewed(said: readonly Said[]): readonly string[] {
  const unknown = said.filter(({ text }) => !reviewed.some((pattern) => pattern.test(text)));
  return [...new Set(unknown.map(({ who, text }) => `${who}: ${text}`))];
}
