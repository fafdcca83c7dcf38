import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { getCACertificates, setDefaultCACertificates } from 'node:tls'
import {
  type CertificateRequest,
  createAuthority,
  issueCertificate,
} from '../../src/infra/certificates/index.ts'
import { tempFolder } from './temp-folder.ts'

interface Teardown {
  teardown(fn: () => unknown): void
}

const hourMs = 3_600_000

/** Files of a certificate and its key, and their content. */
export interface TestCertificate {
  readonly certFile: string
  readonly keyFile: string
  readonly cert: string
  readonly key: string
}

/** An authority in a temporary folder. */
export interface TestAuthority {
  readonly caFile: string
  readonly ca: string
  /** A certificate of a server on this machine. */
  server(more?: Partial<CertificateRequest>): Promise<TestCertificate>
  client(name: string, more?: Partial<CertificateRequest>): Promise<TestCertificate>
  /** Makes `fetch` and `WebSocket` of this process trust it. */
  trust(): void
}

/** Validities that are over, and that have not begun. */
export const expired = () => ({ from: Date.now() - 2 * hourMs, to: Date.now() - hourMs })
export const early = () => ({ from: Date.now() + hourMs, to: Date.now() + 2 * hourMs })

export const testAuthority = async (t: Teardown, name = 'test CA'): Promise<TestAuthority> => {
  const folder = tempFolder(t)
  const validity = { from: Date.now() - hourMs, to: Date.now() + 24 * hourMs }
  const authority = await createAuthority({ name, ...validity, from: Date.now() - 3 * hourMs })
  const caFile = join(folder, 'ca.pem')
  writeFileSync(caFile, authority.cert)
  let issued = 0
  const issue = async (request: Pick<CertificateRequest, 'name' | 'use'> & Partial<CertificateRequest>) => {
    const { cert, key } = await issueCertificate(authority, { ...validity, ...request })
    const certFile = join(folder, `${++issued}.pem`)
    const keyFile = join(folder, `${issued}-key.pem`)
    writeFileSync(certFile, cert)
    writeFileSync(keyFile, key, { mode: 0o600 })
    return { certFile, keyFile, cert, key }
  }
  return {
    caFile,
    ca: authority.cert,
    server: more =>
      issue({ name: 'server', use: 'server', hosts: ['localhost', '127.0.0.1', '::1'], ...more }),
    client: (clientName, more) => issue({ name: clientName, use: 'client', ...more }),
    trust: () => setDefaultCACertificates([...getCACertificates('default'), authority.cert]),
  }
}
