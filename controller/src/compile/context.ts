import { internalSetName, nodePortGroupName, ownerOf, routerName, switchName } from './names.ts';
import { RowBuilder, type RowRef, rowRef } from './rows-builder.ts';

/** Settings that every unit may use, and the references between units: the only place that knows which unit owns a shared row. */
export class CompileContext {
  readonly clusterUid: string;
  readonly defaultVpc: string;
  readonly joinSubnet: string;

  constructor(options: { clusterUid: string; defaultVpc: string; joinSubnet: string }) {
    this.clusterUid = options.clusterUid;
    this.defaultVpc = options.defaultVpc;
    this.joinSubnet = options.joinSubnet;
  }

  builder(kind: string, key: string): RowBuilder {
    return new RowBuilder(this.clusterUid, ownerOf(kind, key));
  }

  switch(subnet: string): RowRef {
    return rowRef(this.clusterUid, 'Logical_Switch', switchName(subnet), ownerOf('Subnet', subnet));
  }

  router(vpc: string): RowRef {
    return rowRef(this.clusterUid, 'Logical_Router', routerName(vpc), ownerOf('Vpc', vpc));
  }

  nodePortGroup(node: string): RowRef {
    return rowRef(this.clusterUid, 'Port_Group', nodePortGroupName(node), ownerOf('Node', node));
  }

  internalSet(vpc: string, family: 4 | 6): RowRef {
    return rowRef(this.clusterUid, 'Address_Set', internalSetName(vpc, family), ownerOf('Vpc', vpc));
  }
}
