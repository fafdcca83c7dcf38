import type { Nats } from '../client/connection.ts'
import { apiSubject } from '../client/jetstream-api.ts'
import { ownRights } from '../rights/own-rights.ts'
import { OrderedConsumer } from './ordered-consumer.ts'
import { PolledReader } from './polled-reader.ts'
import { toStoredEvent } from './stored-message.ts'
import type { StreamReader } from './stream-reader.ts'

/** `maxQueued`: the number of queued messages above which the reader requests no more. */
export type OpenReader = (stream: string, after: number, maxQueued: number) => StreamReader

/**
 * Returns how this process reads a stream: by a consumer, or by requests where its user may create no consumers. A user
 * who may create a consumer may let it deliver to any subject, so users with few rights have none.
 */
export const readerOf = async (nats: Nats, stream: string): Promise<OpenReader> => {
  const { mayPublish } = await ownRights(nats)
  if (mayPublish(apiSubject('CONSUMER.CREATE', stream, '*')))
    return (stream, after, maxQueued) => new OrderedConsumer(nats, stream, after, maxQueued, toStoredEvent)
  const isDirect = mayPublish(apiSubject('DIRECT.GET', stream))
  return (stream, after, maxQueued) => new PolledReader(nats, { stream, after, maxQueued, isDirect })
}
