import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { CodedError } from './coded-error.ts'
import { readErrorText } from './read-error-text.ts'

/** Problems with the files of certificates and keys. docs/errors.md lists them for operators. */
export const TlsProblem = {
  /** A file cannot be read, or holds no certificate or key in PEM. */
  file: 'TLS_FILE',
  /** A private key is missing, encrypted, or of another certificate. */
  key: 'TLS_KEY',
  /** A certificate has expired, or is not valid yet. */
  expired: 'TLS_EXPIRED',
} as const
export type TlsProblem = (typeof TlsProblem)[keyof typeof TlsProblem]

/** Thrown for files that TLS cannot use. The message names option and file, and never shows the content. */
export class TlsError extends CodedError<TlsProblem> {}

/** The files of one side of TLS, as options name them. */
export interface TlsFiles {
  readonly caFile?: string | undefined
  readonly certFile?: string | undefined
  readonly keyFile?: string | undefined
  /** Authorities of client certificates, of a listener that requires them. */
  readonly clientCaFile?: string | undefined
}

/** A certificate that a process uses. */
export interface UsedCertificate {
  /** Key of the option that names its file. */
  readonly option: string
  readonly file: string
  /** In ms since 1970. The first end of the certificates of a chain, and the last one of several authorities. */
  readonly expiresAt: number
}

/** The checked content of the files, for the TLS options of a server or client. */
export interface TlsContent {
  readonly ca?: string
  readonly cert?: string
  /** The common name in the certificate. */
  readonly name?: string
  readonly key?: string
  readonly clientCa?: string
  readonly certificates: readonly UsedCertificate[]
}

export type TlsVersion = '1.2' | '1.3'

/** TLS of a listener, as PEM texts. With `clientCa`, every client needs a certificate of one of these authorities. */
export interface ServerTls {
  readonly cert: string
  readonly key: string
  readonly clientCa?: string | undefined
  /** The oldest version that is accepted. */
  readonly minVersion: TlsVersion
}

/** A file, with the option that names it for errors. */
export interface NamedFile {
  readonly option: string
  readonly file: string
}

/** Returns the common name in a distinguished name as Node writes it; the whole name on one line where it has none. */
export const commonName = (name: string | undefined): string =>
  /^CN=(.+)$/m.exec(name ?? '')?.[1] ?? (name ?? '').replaceAll('\n', ', ')

const failed = (code: TlsProblem, { option, file }: NamedFile, problem: string): TlsError =>
  new TlsError(code, `${option}: ${file}: ${problem}`)

const readText = (named: NamedFile): string => {
  try {
    return readFileSync(named.file, 'utf8')
  } catch (error) {
    throw failed(TlsProblem.file, named, readErrorText(error))
  }
}

/** Returns the certificates in a PEM text, each as a text of its own. */
export const certificateBlocks = (text: string): readonly string[] =>
  text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []

const encryptedKey = /-----BEGIN ENCRYPTED PRIVATE KEY-----|^Proc-Type: 4,ENCRYPTED/m

/** Parses the certificates in a PEM text, in their order. Throws TlsError when there is none. */
const certificatesIn = (named: NamedFile, text: string): X509Certificate[] => {
  const blocks = certificateBlocks(text)
  if (blocks.length === 0)
    throw failed(
      TlsProblem.file,
      named,
      text.includes('PRIVATE KEY-----')
        ? 'this is a private key, not a certificate'
        : 'the file has no certificate in PEM, which starts with -----BEGIN CERTIFICATE-----',
    )
  return blocks.map(block => {
    try {
      return new X509Certificate(block)
    } catch {
      throw failed(TlsProblem.file, named, 'a certificate in the file is damaged')
    }
  })
}

const startOf = ({ validFromDate }: X509Certificate): number => validFromDate.getTime()
const endOf = ({ validToDate }: X509Certificate): number => validToDate.getTime()
const dayOf = (ms: number): string => new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z')

/** Throws TlsError when a certificate is not valid now. */
const requireValid = (named: NamedFile, certificate: X509Certificate, now: number): void => {
  const [start, end] = [startOf(certificate), endOf(certificate)]
  if (now >= end)
    throw failed(TlsProblem.expired, named, `the certificate expired at ${dayOf(end)}: renew it`)
  if (now < start)
    throw failed(
      TlsProblem.expired,
      named,
      `the certificate is valid from ${dayOf(start)} only: check the clock of this machine`,
    )
}

/** Reads a chain: the certificate first. Each of its certificates must be valid now. */
const readChain = (named: NamedFile, now: number) => {
  const text = readText(named)
  const chain = certificatesIn(named, text)
  for (const certificate of chain) requireValid(named, certificate, now)
  return { text, chain, used: { ...named, expiresAt: Math.min(...chain.map(endOf)) } }
}

/**
 * Reads a file of authorities, which `option` names. Old ones may remain in the file, but one must be valid now. Throws
 * TlsError.
 */
export const readAuthorities = (
  named: NamedFile,
  now: number = Date.now(),
): { readonly text: string; readonly used: UsedCertificate } => {
  const text = readText(named)
  const authorities = certificatesIn(named, text)
  const latest = authorities.reduce((one, other) => (endOf(other) > endOf(one) ? other : one))
  if (!authorities.some(one => startOf(one) <= now && now < endOf(one))) requireValid(named, latest, now)
  return { text, used: { ...named, expiresAt: endOf(latest) } }
}

const readKey = (named: NamedFile): { text: string; key: KeyObject } => {
  const text = readText(named)
  if (encryptedKey.test(text))
    throw failed(
      TlsProblem.key,
      named,
      'the key is encrypted: write it without a password ("openssl pkey -in KEY -out NEW"), readable by the user of confab only',
    )
  if (!text.includes('PRIVATE KEY-----'))
    throw failed(
      TlsProblem.file,
      named,
      text.includes('-----BEGIN CERTIFICATE-----')
        ? 'this is a certificate, not a private key'
        : 'the file has no private key in PEM, which starts with -----BEGIN PRIVATE KEY-----',
    )
  try {
    return { text, key: createPrivateKey(text) }
  } catch {
    // The error of OpenSSL names no cause that an operator could use.
    throw failed(TlsProblem.file, named, 'the private key in the file is damaged')
  }
}

/**
 * Reads the files of one side of TLS, and checks what its peers would refuse. `prefix`: the first part of the options'
 * keys, such as `nats`. Throws TlsError.
 */
export const readTlsFiles = (prefix: string, files: TlsFiles, now: number = Date.now()): TlsContent => {
  const named = (name: string, file: string): NamedFile => ({ option: `${prefix}.tls.${name}`, file })
  const { caFile, certFile, keyFile, clientCaFile } = files
  if (certFile === undefined && keyFile !== undefined)
    throw failed(TlsProblem.key, named('key', keyFile), `set ${prefix}.tls.cert too`)
  if (certFile !== undefined && keyFile === undefined)
    throw failed(TlsProblem.key, named('cert', certFile), `set ${prefix}.tls.key too`)

  const ca = caFile === undefined ? undefined : readAuthorities(named('ca', caFile), now)
  const clientCa =
    clientCaFile === undefined ? undefined : readAuthorities(named('clientCa', clientCaFile), now)
  const cert = certFile === undefined ? undefined : readChain(named('cert', certFile), now)
  const key = keyFile === undefined ? undefined : readKey(named('key', keyFile))
  if (cert !== undefined && key !== undefined && !cert.chain[0]!.checkPrivateKey(key.key))
    throw failed(
      TlsProblem.key,
      named('key', keyFile!),
      cert.chain.some(one => one.checkPrivateKey(key.key))
        ? `the certificate of this key must be the first in ${certFile}`
        : `this is not the key of the certificate in ${certFile}`,
    )
  return {
    ...(ca === undefined ? {} : { ca: ca.text }),
    ...(cert === undefined ? {} : { cert: cert.text, name: commonName(cert.chain[0]!.subject) }),
    ...(key === undefined ? {} : { key: key.text }),
    ...(clientCa === undefined ? {} : { clientCa: clientCa.text }),
    certificates: [ca, cert, clientCa].flatMap(read => (read === undefined ? [] : [read.used])),
  }
}

/** Reads the files of a listener. Returns undefined when there is no certificate. Throws TlsError. */
export const readServerTls = (
  prefix: string,
  files: TlsFiles,
  minVersion: TlsVersion,
): ServerTls | undefined => {
  const { cert, key, clientCa } = readTlsFiles(prefix, files)
  return cert === undefined || key === undefined ? undefined : { cert, key, clientCa, minVersion }
}
