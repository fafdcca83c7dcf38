import { readTlsFiles, type TlsFiles, type UsedCertificate } from '../base/tls-files.ts'
import type { ConfabConfig } from '../infra/config/index.ts'

/** Files of one side of TLS. */
export interface TlsSide {
  /** First part of the options' keys. */
  readonly prefix: string
  readonly files: TlsFiles
  /** Whether renewed files are used without a restart. */
  readonly isReread: boolean
}

/** The sides of TLS that a process uses, by its roles. */
export const tlsSidesOf = (config: ConfabConfig): readonly TlsSide[] => {
  const { roles, edgeTls, grpcTls, adminTls, natsTls, cassandra, elasticsearch, s3 } = config
  const side = (prefix: string, files: TlsFiles, isUsed: boolean, isReread = false): TlsSide[] =>
    isUsed ? [{ prefix, files, isReread }] : []
  const isEdge = roles.includes('edge')
  return [
    ...side('edge', edgeTls, isEdge),
    ...side('grpc', grpcTls, isEdge && config.grpcPort !== undefined),
    ...side('admin', adminTls, config.adminPort !== 'off'),
    ...side('nats', natsTls, config.natsServers !== undefined, true),
    ...side('cassandra', cassandra, cassandra.contactPoints !== undefined),
    ...side('elasticsearch', elasticsearch, elasticsearch.nodes !== undefined),
    ...side('s3', s3, isEdge && s3.bucket !== undefined),
  ]
}

/**
 * Reads the certificates of this process, and checks them before a component uses them. Returns a function that returns
 * those in use. Throws TlsError.
 */
export const readCertificates = (config: ConfabConfig): (() => readonly UsedCertificate[]) => {
  const sides = tlsSidesOf(config).map(side => ({
    ...side,
    certificates: readTlsFiles(side.prefix, side.files).certificates,
  }))
  const current = ({ prefix, files, isReread, certificates }: (typeof sides)[number]) => {
    if (!isReread || certificates.length === 0) return certificates
    try {
      return readTlsFiles(prefix, files).certificates
    } catch {
      // The last good certificates are as old as they were.
      return certificates
    }
  }
  return () => sides.flatMap(current)
}
