import { webcrypto } from 'node:crypto';
import 'reflect-metadata';
import * as x509 from '@peculiar/x509';

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;

/** A certificate and its key, PEM. */
export interface PemPair {
  readonly cert: string;
  readonly key: string;
}

/** A certificate authority for one test. */
export class TestCa {
  readonly #cert: x509.X509Certificate;
  readonly #keys: webcrypto.CryptoKeyPair;

  private constructor(cert: x509.X509Certificate, keys: webcrypto.CryptoKeyPair) {
    this.#cert = cert;
    this.#keys = keys;
  }

  static async create(): Promise<TestCa> {
    x509.cryptoProvider.set(webcrypto as unknown as Parameters<typeof x509.cryptoProvider.set>[0]);
    const keys = await newKeys();
    const cert = await x509.X509CertificateGenerator.createSelfSigned({
      name: 'CN=test CA',
      keys,
      signingAlgorithm: algorithm,
      extensions: [new x509.BasicConstraintsExtension(true, undefined, true)],
    });
    return new TestCa(cert, keys);
  }

  get pem(): string {
    return this.#cert.toString('pem');
  }

  /** Issues a certificate for a user (`CN=...`) or, with names, for a server. */
  async issue(subject: string, dnsNames: readonly string[] = []): Promise<PemPair> {
    const keys = await newKeys();
    const names = dnsNames.map((value) => ({ type: 'dns' as const, value }));
    const cert = await x509.X509CertificateGenerator.create({
      subject,
      issuer: this.#cert.subject,
      publicKey: keys.publicKey,
      signingKey: this.#keys.privateKey,
      signingAlgorithm: algorithm,
      extensions: names.length === 0 ? [] : [new x509.SubjectAlternativeNameExtension(names)],
    });
    const key = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)).toString('base64');
    return { cert: cert.toString('pem'), key: `-----BEGIN PRIVATE KEY-----\n${key}\n-----END PRIVATE KEY-----\n` };
  }
}

async function newKeys(): Promise<webcrypto.CryptoKeyPair> {
  return await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
}
