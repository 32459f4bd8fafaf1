/** ACL columns of a direction: egress rules see the backend of a Service, not its virtual address (ovn-nb(5), ACL options). */
export const aclColumns: Readonly<Record<'ingress' | 'egress', AclColumns>> = {
  ingress: { direction: 'to-lport', options: new Map() },
  egress: { direction: 'from-lport', options: new Map([['apply-after-lb', 'true']]) },
};

interface AclColumns {
  readonly direction: 'to-lport' | 'from-lport';
  readonly options: ReadonlyMap<string, string>;
}
