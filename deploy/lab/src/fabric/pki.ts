import { webcrypto } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import 'reflect-metadata';

type X509 = typeof import('@peculiar/x509');

/** Files of one identity, all PEM. */
export interface Identity {
  readonly key: string;
  readonly cert: string;
  readonly ca: string;
}

/** A certificate to issue: the common name and the names and addresses it stands for. */
export interface CertificateRequest {
  readonly name: string;
  readonly dns: readonly string[];
  readonly ips: readonly string[];
}

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
/** A lab lives days; a year spares the long-running one a surprise. */
const lifetimeMs = 365 * 24 * 3600 * 1000;

/** Where the files of an identity are in the directory. */
export function identity(directory: string, name: string): Identity {
  return { key: join(directory, `${name}.key`), cert: join(directory, `${name}.crt`), ca: join(directory, 'ca.crt') };
}

/**
 * Makes the lab's certificate authority and certificates (ECDSA P-256), each good for both ends of mutual TLS. Does
 * nothing when the last certificate of an earlier run is there. Keys are 0600 and the authority's key is never written.
 */
export async function issue(directory: string, requests: readonly CertificateRequest[]): Promise<void> {
  if (requests.every((request) => existsSync(identity(directory, request.name).cert))) return;
  const x509 = await import('@peculiar/x509');
  x509.cryptoProvider.set(webcrypto as unknown as Parameters<typeof x509.cryptoProvider.set>[0]);
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const now = Date.now();
  // An hour back: clocks of containers on one machine agree, those of a restored virtual machine may not.
  const validity = { notBefore: new Date(now - 3_600_000), notAfter: new Date(now + lifetimeMs) };
  const caKeys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const caName = 'CN=ovenbird-lab-ca';
  const ca = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: '01',
    name: caName,
    ...validity,
    signingAlgorithm: algorithm,
    keys: caKeys,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(caKeys.publicKey),
    ],
  });
  writeFileSync(join(directory, 'ca.crt'), `${ca.toString('pem')}\n`);
  await Promise.all(
    requests.map(async (request, index) => {
      const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
      const certificate = await x509.X509CertificateGenerator.create({
        serialNumber: (index + 16).toString(16),
        subject: `CN=${request.name}`,
        issuer: caName,
        ...validity,
        signingAlgorithm: algorithm,
        signingKey: caKeys.privateKey,
        publicKey: keys.publicKey,
        extensions: await extensions(x509, request, ca, keys.publicKey),
      });
      const files = identity(directory, request.name);
      const pkcs8 = await webcrypto.subtle.exportKey('pkcs8', keys.privateKey);
      writeFileSync(files.key, `${x509.PemConverter.encode(pkcs8, 'PRIVATE KEY')}\n`, { mode: 0o600 });
      writeFileSync(files.cert, `${certificate.toString('pem')}\n`);
    }),
  );
}

async function extensions(
  x509: X509,
  request: CertificateRequest,
  ca: InstanceType<X509['X509Certificate']>,
  publicKey: webcrypto.CryptoKey,
): Promise<InstanceType<X509['Extension']>[]> {
  const names = [
    ...request.dns.map((value) => ({ type: 'dns', value }) as const),
    ...request.ips.map((value) => ({ type: 'ip', value }) as const),
  ];
  return [
    new x509.BasicConstraintsExtension(false, undefined, true),
    new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
    new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth, x509.ExtendedKeyUsage.clientAuth]),
    new x509.SubjectAlternativeNameExtension(names),
    await x509.SubjectKeyIdentifierExtension.create(publicKey),
    await x509.AuthorityKeyIdentifierExtension.create(ca),
  ];
}

/** A PEM file as the base64 text that kubeconfigs hold. */
export function pemBase64(file: string): string {
  return readFileSync(file).toString('base64');
}
