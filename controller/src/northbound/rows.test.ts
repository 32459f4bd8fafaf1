import { describe, expect, it } from 'vitest';
import { isVersion5, rowUuid } from './rows.ts';

describe('rowUuid', () => {
  it('is UUIDv5', () => {
    const uuid = rowUuid('6ba7b810-9dad-11d1-80b4-00c04fd430c8', 'Logical_Switch', 'ovn-default', 'Subnet/ovn-default');
    // By Python's uuid.uuid5 of the same namespace and name.
    expect(uuid).toBe('a24fa005-b839-5854-8370-7d756f35eb11');
    expect(isVersion5(uuid)).toBe(true);
  });

  it('differs by cluster, table, key and owner, and does not mix their boundaries', () => {
    const cluster = '6ba7b810-9dad-11d1-80b4-00c04fd430c8';
    const uuids = new Set([
      rowUuid(cluster, 'ACL', 'a', 'b'),
      rowUuid('6ba7b811-9dad-11d1-80b4-00c04fd430c8', 'ACL', 'a', 'b'),
      rowUuid(cluster, 'QoS', 'a', 'b'),
      rowUuid(cluster, 'ACL', 'ab', ''),
      rowUuid(cluster, 'ACL', '', 'ab'),
      rowUuid(cluster, 'ACLa', '', 'b'),
    ]);
    expect(uuids.size).toBe(6);
  });

  it('refuses a cluster UID that is none', () => {
    expect(() => rowUuid('kube-system', 'ACL', 'a', 'b')).toThrow(/pass the UID of namespace kube-system/);
  });
});
