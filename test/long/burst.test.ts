import { expect, it } from 'vitest';
import { Burst } from '../src/burst.ts';
import { openLab } from '../src/lab.ts';

/** 500 pods created at once over ten nodes, all of them on one machine, and deleted at once. */
it('500 pods at once over ten nodes are Ready and reachable with addresses of their own, and leave nothing', async () => {
  await using lab = await openLab({ nodes: 10 });
  expect(lab.nodes).toHaveLength(10);
  using burst = await Burst.prepare(lab, 'burst', 500, (line) => process.stderr.write(`${line}\n`));
  await burst.create();
  await burst.verify();
  await burst.delete();
  await burst.gone();
});
