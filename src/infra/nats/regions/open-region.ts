import type { NatsConnection } from '@nats-io/transport-node'
import type { Nats } from '../client/connection.ts'
import { askJetStream } from '../client/jetstream-api.ts'
import type { Region } from './topology.ts'

/** A region, and a connection to its servers. */
export interface OpenRegion {
  readonly region: Region
  readonly nats: Nats
}

/** Returns the JetStream domain of the servers of a connection; undefined for servers without one. Throws NatsError. */
export const domainOf = async (connection: NatsConnection): Promise<string | undefined> =>
  (await askJetStream(connection, manager => manager.getAccountInfo())).domain || undefined
