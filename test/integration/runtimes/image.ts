import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { must } from '../agent/exec.ts';

/** Name of the image that tests run, also as pause image. */
export const IMAGE = 'ovenbird.test/busybox:1';

const links = ['sh', 'ip', 'ping', 'httpd', 'wget', 'sleep', 'mkdir'];

/**
 * Makes an image of one static binary, busybox, without any registry.
 * @param directory to work in
 * @returns the root filesystem and the whole image (`docker save` format), as tar files
 */
export async function buildImage(directory: string): Promise<{ readonly rootfs: string; readonly image: string }> {
  const busybox = ['/bin/busybox', '/usr/bin/busybox'].find((path) => existsSync(path));
  if (busybox === undefined) throw new Error('busybox is missing; run `npm run setup`');
  const root = join(directory, 'rootfs');
  for (const name of ['bin', 'etc', 'proc', 'sys', 'dev', 'www', 'tmp'])
    mkdirSync(join(root, name), { recursive: true });
  copyFileSync(busybox, join(root, 'bin/busybox'));
  for (const name of links) symlinkSync('busybox', join(root, 'bin', name));
  writeFileSync(join(root, 'www/index.html'), 'served by busybox\n');
  const files = join(directory, 'image');
  mkdirSync(files);
  const rootfs = join(files, 'layer.tar');
  await must(['tar', '-C', root, '--owner=0', '--group=0', '-cf', rootfs, '.']);
  const digest = createHash('sha256').update(readFileSync(rootfs)).digest('hex');
  const config = {
    architecture: process.arch === 'arm64' ? 'arm64' : 'amd64',
    os: 'linux',
    config: { Entrypoint: ['/bin/busybox', 'sleep', '100000'], Env: ['PATH=/bin'] },
    rootfs: { type: 'layers', diff_ids: [`sha256:${digest}`] },
  };
  writeFileSync(join(files, 'config.json'), JSON.stringify(config));
  const manifest = [{ Config: 'config.json', RepoTags: [IMAGE], Layers: ['layer.tar'] }];
  writeFileSync(join(files, 'manifest.json'), JSON.stringify(manifest));
  const image = join(directory, 'image.tar');
  await must(['tar', '-C', files, '-cf', image, 'manifest.json', 'config.json', 'layer.tar']);
  return { rootfs, image };
}
