/** Bytes in the largest message: a snapshot of a large conversation. Clients' frames are far smaller. */
export const maxPayload = 8 * 1024 * 1024

/**
 * When an acked append is on disk. `default`: the server syncs every two minutes, a power failure may lose what came since; a killed process loses nothing.
 * `always`: before each ack; a twelfth of the rate on a single server, four fifths of it on a cluster of three.
 */
export const Durability = { default: 'default', always: 'always' } as const
export type Durability = (typeof Durability)[keyof typeof Durability]

export interface ServerConfig {
  readonly name: string
  /** 0: a free one, told in the ports file. */
  readonly port: number
  readonly storeDir: string
  readonly logFile: string
  readonly portsDir: string
  readonly durability: Durability
}

const quote = (text: string): string => JSON.stringify(text)

/** The configuration of the embedded server: loopback only, JetStream, nothing else. */
export const serverConfig = (config: ServerConfig): string => `# Written at each start.
server_name: ${quote(config.name)}
listen: "127.0.0.1:${config.port === 0 ? -1 : config.port}"
max_payload: ${maxPayload}
ports_file_dir: ${quote(config.portsDir)}
log_file: ${quote(config.logFile)}
logfile_size_limit: 10MB
logfile_max_num: 3
jetstream {
  store_dir: ${quote(config.storeDir)}
${config.durability === 'always' ? '  sync_interval: always\n' : ''}}
`
