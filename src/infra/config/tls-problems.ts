import { isLoopback } from '../../base/host-names.ts'
import type { TlsFiles } from '../../base/tls-files.ts'
import type { ConfabConfig } from './option-groups.ts'

/** The first option of these files that is set. */
const givenOf = (
  prefix: string,
  { caFile, certFile, keyFile, clientCaFile }: TlsFiles,
): string | undefined => {
  const names = { ca: caFile, cert: certFile, key: keyFile, clientCa: clientCaFile }
  const [name] = Object.entries(names).find(([, file]) => file !== undefined) ?? []
  return name === undefined ? undefined : `${prefix}.tls.${name}`
}

/** Returns what is wrong with the options of TLS, besides their files: what would leave a connection in clear text. */
export const tlsProblems = (config: ConfabConfig): string[] => {
  const { edgeTls, grpcTls, adminTls, natsTls, natsServers, cassandra, elasticsearch, s3 } = config
  const problems: string[] = []
  const require = (prefix: string, files: TlsFiles, isMet: boolean, requirement: string): void => {
    const given = givenOf(prefix, files)
    if (given !== undefined && !isMet) problems.push(`${given}: ${requirement}`)
  }
  const areSecure = (urls: readonly string[]): boolean => urls.every(url => !url.startsWith('http://'))
  require('edge', edgeTls, edgeTls.certFile !== undefined, 'set edge.tls.cert too')
  require('grpc', grpcTls, config.grpcPort !== undefined, 'set grpc.port, without which there is no gRPC')
  require('grpc', grpcTls, (grpcTls.certFile ?? edgeTls.certFile) !==
    undefined, 'set grpc.tls.cert too, or edge.tls.cert')
  require('admin', adminTls, adminTls.certFile !== undefined, 'set admin.tls.cert too')
  require('nats', natsTls, natsServers !== undefined, 'set nats.servers, as the embedded server has no TLS')
  require('cassandra', cassandra, cassandra.contactPoints !== undefined, 'set cassandra.contactPoints')
  require('elasticsearch', elasticsearch, elasticsearch.nodes !== undefined, 'set elasticsearch.nodes')
  require('elasticsearch', elasticsearch, areSecure(
    elasticsearch.nodes ?? [],
  ), 'write https:// in elasticsearch.nodes')
  require('s3', s3, s3.bucket !== undefined, 'set s3.bucket')
  require('s3', s3, areSecure([s3.endpoint ?? 'https:']), 'write https:// in s3.endpoint')
  return problems
}

/** A listener, by the first part of the keys of its certificates. */
export type Listener = 'edge' | 'grpc' | 'admin'

/** Listeners in clear text that other machines reach. */
export const openListeners = (config: ConfabConfig): readonly Listener[] => {
  const { host, adminHost, adminPort, grpcPort, edgeTls, grpcTls, adminTls, roles } = config
  // Trusted proxies end TLS. The network between them and this process is the operator's.
  const isOpen = !isLoopback(host) && config.edge.trustProxy === 0 && roles.includes('edge')
  const { certFile } = edgeTls
  const open: Listener[] = []
  if (isOpen && certFile === undefined) open.push('edge')
  if (isOpen && grpcPort !== undefined && (grpcTls.certFile ?? certFile) === undefined) open.push('grpc')
  if (!isLoopback(adminHost) && adminPort !== 'off' && adminTls.certFile === undefined) open.push('admin')
  return open
}
