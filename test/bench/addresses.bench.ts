/**
 * `npm run bench -- addresses`: alloc hands out and takes back 100,000 addresses of an IPv4 /15 and of an IPv6 /64, beside a
 * bare Map and a counter that do the same without any rule, in the same run and by turns. Figures are medians of the rounds.
 */
import { Allocator } from '../../controller/src/alloc/allocator.ts';
import type { UsableSubnet } from '../../controller/src/store/model.ts';
import { benchLine, infoLine, median } from './report.ts';

const COUNT = 100_000;
const ROUNDS = Number(process.env['ROUNDS'] ?? 31);
const print = (line: string): void => {
  process.stdout.write(`${line}\n`);
};

/** Who asks: made beforehand, because neither side makes names. */
const owners = Array.from({ length: COUNT }, (_, index) => `Pod/default/pod-${index}`);

const subnet = (name: string, family: 'v4' | 'v6', cidr: string, gateway: string): UsableSubnet => ({
  name,
  vpc: 'ovn-cluster',
  [family]: { cidr, gateway, prefix: Number(cidr.split('/')[1]) },
  excludeIps: [],
  namespaces: [],
  namespaceSelectors: [],
  isDefault: false,
  private: false,
  allowSubnets: [],
  aclLogRate: 10,
  allowEastWest: false,
  acls: [],
  natOutgoing: false,
  multicastSnoop: false,
  deleting: false,
});

/** CPU time of this process, milliseconds: the machine is shared. */
const cpu = (): number => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
};

/** The least that hands addresses out and takes them back: who has which, and which is next. */
function bare(text: (value: number) => string): number {
  const addresses = new Map<string, string>();
  const begun = cpu();
  let next = 2;
  for (const owner of owners) {
    addresses.set(owner, text(next));
    next += 1;
  }
  for (const owner of owners) addresses.delete(owner);
  const spent = cpu() - begun;
  if (addresses.size !== 0 || next !== COUNT + 2) throw new Error('the bare loop lost an address');
  return spent;
}

function allocator(net: UsableSubnet): number {
  const alloc = new Allocator({ joinSubnet: 'join' });
  alloc.setSubnet(net);
  const begun = cpu();
  for (const owner of owners) alloc.allocate(owner, owner, net.name, {});
  for (const owner of owners) alloc.release(owner);
  const spent = cpu() - begun;
  if (alloc.usersOf(net.name) !== 0) throw new Error('the allocator lost an address');
  return spent;
}

const cases = [
  {
    name: 'v4 /15',
    net: subnet('four', 'v4', '10.16.0.0/15', '10.16.0.1'),
    text: (value: number) => `10.${16 + (value >>> 16)}.${(value >>> 8) & 255}.${value & 255}`,
  },
  {
    name: 'v6 /64',
    net: subnet('six', 'v6', 'fd00:10:16::/64', 'fd00:10:16::1'),
    text: (value: number) =>
      value > 0xffff
        ? `fd00:10:16::${(value >>> 16).toString(16)}:${(value & 0xffff).toString(16)}`
        : `fd00:10:16::${value.toString(16)}`,
  },
] as const;

for (const { name, net, text } of cases) {
  const ours: number[] = [];
  const theirs: number[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    ours.push(allocator(net));
    theirs.push(bare(text));
  }
  // The first rounds are the compiler's.
  const [value, reference] = [median(ours.slice(2)), median(theirs.slice(2))];
  print(
    benchLine({
      name: `addresses ${name}`.replaceAll(' ', '_'),
      figure: 'alloc_and_free_100k',
      value,
      unit: 'ms',
      reference,
      target: { kind: '<=', value: 4 },
    }),
  );
  print(infoLine(`addresses ${name}`.replaceAll(' ', '_'), { per_address: [(value * 1000) / COUNT, 'us'] }));
}
