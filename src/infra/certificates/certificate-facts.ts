import { X509Certificate } from 'node:crypto'
import ipaddr from 'ipaddr.js'
import { commonName } from '../../base/tls-files.ts'

/** The fields of a certificate that operators need. */
export interface CertificateFacts {
  readonly name: string
  readonly issuer: string
  readonly isAuthority: boolean
  /** Host names and IP addresses. */
  readonly hosts: readonly string[]
  readonly uses: readonly string[]
  /** In ms since 1970. */
  readonly from: number
  readonly to: number
}

const useNames: Readonly<Record<string, string>> = {
  '1.3.6.1.5.5.7.3.1': 'server',
  '1.3.6.1.5.5.7.3.2': 'client',
}

/** Returns the facts of a certificate in PEM or DER. Throws when it is none. */
export const certificateFacts = (content: string | Buffer): CertificateFacts => {
  const certificate = new X509Certificate(content)
  const { subject, issuer, ca, subjectAltName = '', keyUsage, validFromDate, validToDate } = certificate
  return {
    name: commonName(subject),
    issuer: commonName(issuer),
    isAuthority: ca,
    hosts: subjectAltName
      .split(', ')
      .filter(entry => entry !== '')
      .map(entry => entry.replace(/^(DNS|IP Address):/, ''))
      .map(host => (ipaddr.isValid(host) ? ipaddr.parse(host).toString() : host)),
    uses: (keyUsage ?? []).map(use => useNames[use] ?? use),
    from: validFromDate.getTime(),
    to: validToDate.getTime(),
  }
}
