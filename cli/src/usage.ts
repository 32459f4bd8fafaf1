/** The user typed something that `ovenbird` does not understand: the message says what, and exit code 2 follows. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** The text of `ovenbird help`. */
export const help = `ovenbird: Kubernetes networking on stock OVN and Open vSwitch

  ovenbird status                      overview of the network in front of you
  ovenbird acls [-n NAMESPACE] POD     rules that judge a pod's packets, in order, with the objects behind them
  ovenbird acl-log [-n NAMESPACE POD] [-f] [--limit 100]
                                       packets that met logged rules
  ovenbird drops [-n NAMESPACE] POD    what allowed or dropped a pod's traffic
  ovenbird top policies [--limit 20]   rules by the packets they met in the last minute
  ovenbird import kube-ovn FILE...|--kubeconfig FILE
                                       Kube-OVN's objects as ours; says what has no counterpart, and why
  ovenbird confirm-deletion TOKEN      let deletions go on that the controller's safety catch stopped
  ovenbird nbctl|sbctl ARGS            ovn-nbctl, ovn-sbctl on the central databases
  ovenbird vsctl|ofctl|appctl NODE ARGS
                                       ovs-vsctl, ovs-ofctl, ovs-appctl on a node

The lab, a whole cluster on this machine (docs/lab.md):

  ovenbird lab up [--nodes 3] [--no-dual-stack] [--keep-state] [--fabric-only] [--without PROCESS]
  ovenbird lab down [--keep-state]     end it; --keep-state keeps API objects and northbound rows
  ovenbird lab status [-o json]        what runs, and all names
  ovenbird lab env                     shell variables: eval "$(ovenbird lab env)"
  ovenbird lab ps                      processes
  ovenbird lab start|stop|restart PROCESS...
  ovenbird lab reboot NODE...          its processes, namespace and pods go, its disk stays; then it starts
  ovenbird lab kill [-9] PROCESS...    a signal to the process that does the work
  ovenbird lab logs [-f] [-n 50] PROCESS
  ovenbird lab tour                    a walk through the running lab (starts one if none runs; options of lab up)

OVENBIRD_LAB is the lab's state directory (default /run/ovenbird-lab).
`;
