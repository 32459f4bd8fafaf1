import { parsePoolEntry, rangeToCidrs } from '@ovenbird/crds';
import type { CompileContext } from './context.ts';
import type { UnitDefinition } from './engine.ts';
import { ipPoolSetName } from './names.ts';

/** IPPool → an Address_Set for each family it has, when it asks for them. */
export function ipPoolUnit(context: CompileContext): UnitDefinition {
  return {
    kind: 'IPPool',
    rank: 2,
    lane: 'bulk',
    compile(name, reader) {
      const pool = reader.get('UsablePool', name);
      if (pool?.addressSet !== true) return [];
      const rows = context.builder('IPPool', name);
      const ranges = pool.ips.map(parsePoolEntry);
      for (const family of [4, 6] as const) {
        const own = ranges.filter((range) => range.family === family);
        if (own.length === 0) continue;
        const setName = ipPoolSetName(name, family);
        const set = rows.row('Address_Set', setName, { name: setName }, { ip_pool: name, subnet: pool.subnet });
        // A set holds addresses and networks, but no ranges (ovn-nb(5), Address_Set).
        for (const range of own) for (const network of rangeToCidrs(range)) rows.member(set, 'addresses', network);
      }
      return rows.outputs;
    },
  };
}
