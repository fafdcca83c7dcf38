import type { Nats } from '../client/connection.ts'
import { askJetStream } from '../client/jetstream-api.ts'

/** The storage that an account of JetStream may use, bytes. */
export interface AccountStorage {
  readonly free: number
  readonly size: number
}

/**
 * Returns the file storage of the account of the log, as far as its limits say; undefined without a limit. Rejects when
 * JetStream does not answer.
 */
export const accountStorage = async ({
  connection,
}: Pick<Nats, 'connection'>): Promise<AccountStorage | undefined> => {
  const { storage, limits, tiers } = await askJetStream(connection, manager => manager.getAccountInfo())
  const bounded = [{ storage, limits }, ...Object.values(tiers ?? {})]
    .flatMap(account => account ?? [])
    .map(account => ({ size: account.limits.max_storage ?? -1, used: account.storage }))
    .filter(({ size }) => size > 0)
    .map(({ size, used }) => ({ size, free: Math.max(0, size - used) }))
  return bounded.sort((one, other) => one.free - other.free)[0]
}
