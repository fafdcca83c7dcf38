import { createPrivateKey, randomBytes } from 'node:crypto'
import { isIP } from 'node:net'
import { BitString, Integer, OctetString, Utf8String } from 'asn1js'
import ipaddr from 'ipaddr.js'
import {
  AltName,
  AttributeTypeAndValue,
  AuthorityKeyIdentifier,
  BasicConstraints,
  Certificate,
  Extension,
  ExtKeyUsage,
  GeneralName,
  RelativeDistinguishedNames,
} from 'pkijs'

/** A certificate and its private key, as PEM texts. */
export interface IssuedCertificate {
  readonly cert: string
  readonly key: string
}

/** An authority: its certificate signs others. */
export type Authority = IssuedCertificate

/** A time from `from` to `to`, in ms since 1970. */
interface Validity {
  readonly from: number
  readonly to: number
}

export interface CertificateRequest extends Validity {
  /** The common name: for people, and for servers that map certificates to users. */
  readonly name: string
  /**
   * `server`: for listeners that clients connect to. `client`: for clients of servers. Neither works as the other.
   * `both`: for servers that connect to each other, such as those of a cluster.
   */
  readonly use: 'server' | 'client' | 'both'
  /** Host names and IP addresses of a server. */
  readonly hosts?: readonly string[]
}

/** Object identifiers of RFC 5280. */
const oid = {
  commonName: '2.5.4.3',
  subjectKeyIdentifier: '2.5.29.14',
  keyUsage: '2.5.29.15',
  subjectAltName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  authorityKeyIdentifier: '2.5.29.35',
  extKeyUsage: '2.5.29.37',
  server: '1.3.6.1.5.5.7.3.1',
  client: '1.3.6.1.5.5.7.3.2',
} as const

/** First byte of the bit string, and the number of unused bits at its end. */
const keyUsages = {
  signsCertificates: { byte: 0x06, unusedBits: 1 },
  signs: { byte: 0x80, unusedBits: 7 },
} as const

/** Types of a general name. */
const nameTypes = { dns: 2, ip: 7 } as const

const curve = { name: 'ECDSA', namedCurve: 'P-256' } as const
const { subtle } = globalThis.crypto

const createKeys = (): Promise<CryptoKeyPair> => subtle.generateKey(curve, true, ['sign', 'verify'])

const pem = (label: string, der: ArrayBuffer): string => {
  const lines =
    Buffer.from(der)
      .toString('base64')
      .match(/.{1,64}/g) ?? []
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`
}

const readCertificate = (text: string): Certificate =>
  Certificate.fromBER(Buffer.from(text.replaceAll(/-----[A-Z ]+-----|\s/g, ''), 'base64'))

const nameOf = (name: string): RelativeDistinguishedNames =>
  new RelativeDistinguishedNames({
    typesAndValues: [
      new AttributeTypeAndValue({ type: oid.commonName, value: new Utf8String({ value: name }) }),
    ],
  })

interface Encodable {
  toBER(): ArrayBuffer
}

const extension = (extnID: string, critical: boolean, value: Encodable): Extension =>
  new Extension({ extnID, critical, extnValue: value.toBER() })

const keyUsage = ({ byte, unusedBits }: (typeof keyUsages)[keyof typeof keyUsages]): Extension =>
  extension(oid.keyUsage, true, new BitString({ valueHex: Uint8Array.of(byte).buffer, unusedBits }))

const altName = (host: string): GeneralName =>
  isIP(host) === 0
    ? new GeneralName({ type: nameTypes.dns, value: host })
    : new GeneralName({
        type: nameTypes.ip,
        value: new OctetString({ valueHex: Uint8Array.from(ipaddr.parse(host).toByteArray()).buffer }),
      })

/** A certificate without a signature. */
const draft = async (
  name: RelativeDistinguishedNames,
  { from, to }: Validity,
  publicKey: CryptoKey,
): Promise<Certificate> => {
  const certificate = new Certificate()
  certificate.version = 2
  // Positive, and of 20 bytes at most (RFC 5280, 4.1.2.2).
  const serial = randomBytes(16)
  serial[0] = (serial[0]! & 0x3f) | 0x40
  certificate.serialNumber = new Integer({ valueHex: Uint8Array.from(serial).buffer })
  certificate.subject = name
  certificate.notBefore.value = new Date(from)
  certificate.notAfter.value = new Date(to)
  await certificate.subjectPublicKeyInfo.importKey(publicKey)
  return certificate
}

/** The identifier of a key: a hash of it (RFC 5280, 4.2.1.2). */
const keyIdentifier = async ({ subjectPublicKeyInfo }: Certificate): Promise<OctetString> => {
  const key = subjectPublicKeyInfo.subjectPublicKey.valueBlock.valueHexView
  return new OctetString({ valueHex: await subtle.digest('SHA-1', Uint8Array.from(key)) })
}

const finished = async (
  certificate: Certificate,
  signingKey: CryptoKey,
  keys: CryptoKeyPair,
): Promise<IssuedCertificate> => {
  await certificate.sign(signingKey, 'SHA-256')
  return {
    cert: pem('CERTIFICATE', certificate.toSchema(true).toBER()),
    key: pem('PRIVATE KEY', await subtle.exportKey('pkcs8', keys.privateKey)),
  }
}

/** Creates an authority. Its certificate signs those of servers and clients only, no further authorities. */
export const createAuthority = async ({
  name,
  ...validity
}: Validity & { readonly name: string }): Promise<Authority> => {
  const keys = await createKeys()
  const certificate = await draft(nameOf(name), validity, keys.publicKey)
  certificate.issuer = nameOf(name)
  certificate.extensions = [
    extension(
      oid.basicConstraints,
      true,
      new BasicConstraints({ cA: true, pathLenConstraint: 0 }).toSchema(),
    ),
    keyUsage(keyUsages.signsCertificates),
    extension(oid.subjectKeyIdentifier, false, await keyIdentifier(certificate)),
  ]
  return await finished(certificate, keys.privateKey, keys)
}

const signingKeyOf = (key: string): Promise<CryptoKey> => {
  const der = createPrivateKey(key).export({ type: 'pkcs8', format: 'der' })
  return subtle.importKey('pkcs8', Uint8Array.from(der), curve, false, ['sign'])
}

/** Issues a certificate with a new key, signed by an authority. */
export const issueCertificate = async (
  authority: Authority,
  { name, use, hosts = [], ...validity }: CertificateRequest,
): Promise<IssuedCertificate> => {
  const issuer = readCertificate(authority.cert)
  const keys = await createKeys()
  const purposes = use === 'both' ? [oid.server, oid.client] : [oid[use]]
  const certificate = await draft(nameOf(name), validity, keys.publicKey)
  certificate.issuer = issuer.subject
  certificate.extensions = [
    extension(oid.basicConstraints, true, new BasicConstraints({ cA: false }).toSchema()),
    keyUsage(keyUsages.signs),
    extension(oid.extKeyUsage, false, new ExtKeyUsage({ keyPurposes: purposes }).toSchema()),
    extension(oid.subjectKeyIdentifier, false, await keyIdentifier(certificate)),
    extension(
      oid.authorityKeyIdentifier,
      false,
      new AuthorityKeyIdentifier({ keyIdentifier: await keyIdentifier(issuer) }).toSchema(),
    ),
  ]
  if (hosts.length > 0)
    certificate.extensions.push(
      extension(oid.subjectAltName, false, new AltName({ altNames: hosts.map(altName) }).toSchema()),
    )
  return await finished(certificate, await signingKeyOf(authority.key), keys)
}
