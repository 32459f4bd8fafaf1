/** Certificates for the tests, as ovs-pki(8) makes them: no host names in them. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';

const openssl = async (...args: readonly string[]): Promise<unknown> => promisify(execFile)('openssl', [...args]);

/** A certificate authority, and a certificate of it for each name: `<name>.key` and `<name>.pem`. */
export async function makePki(dir: string, ca: string, names: readonly string[]): Promise<void> {
  const file = (name: string): string => join(dir, name);
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];
  await openssl('req', '-x509', ...key, '-subj', `/CN=${ca}`, '-keyout', file(`${ca}.key`), '-out', file(`${ca}.pem`));
  for (const name of names) {
    const request = file(`${name}.csr`);
    await openssl(
      'req',
      '-new',
      ...key.slice(0, -2),
      '-subj',
      `/CN=${name}`,
      '-keyout',
      file(`${name}.key`),
      '-out',
      request,
    );
    const signer = ['-CA', file(`${ca}.pem`), '-CAkey', file(`${ca}.key`), '-CAcreateserial', '-days', '2'];
    await openssl('x509', '-req', '-in', request, ...signer, '-out', file(`${name}.pem`));
  }
}
