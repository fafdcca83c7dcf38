import type { StreamConfig, StreamState } from '@nats-io/jetstream'
import { createInbox, type NatsConnection } from '@nats-io/transport-node'

export interface RawSnapshot {
  readonly config: StreamConfig
  readonly state: StreamState
  readonly chunks: readonly Uint8Array[]
}

/** Reads the snapshot of a stream into memory, with the chunks and the window that the server chooses. */
export const rawSnapshot = async (nats: NatsConnection, stream: string): Promise<RawSnapshot> => {
  const inbox = createInbox()
  const chunks: Uint8Array[] = []
  const { promise, resolve } = Promise.withResolvers<void>()
  const subscription = nats.subscribe(inbox, {
    callback: (_, { data, reply }) => {
      if (data.length === 0) return resolve()
      chunks.push(Buffer.from(data))
      if (reply) nats.publish(reply)
    },
  })
  const answer = await nats.request(
    `$JS.API.STREAM.SNAPSHOT.${stream}`,
    JSON.stringify({ deliver_subject: inbox, no_consumers: true }),
    { timeout: 30_000 },
  )
  const { config, state } = answer.json<Omit<RawSnapshot, 'chunks'>>()
  await promise
  subscription.unsubscribe()
  return { config, state, chunks }
}

/** Restores a snapshot under another name, without comparing anything. */
export const rawRestore = async (
  nats: NatsConnection,
  name: string,
  { config, state, chunks }: RawSnapshot,
): Promise<void> => {
  const { republish: _, ...rest } = config
  const answer = await nats.request(
    `$JS.API.STREAM.RESTORE.${name}`,
    JSON.stringify({ config: { ...rest, name, subjects: [`raw.${name}`] }, state }),
    { timeout: 30_000 },
  )
  const { deliver_subject: to } = answer.json<{ deliver_subject: string }>()
  const reply = createInbox()
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  let next = 0
  const send = (): void => {
    if (next <= chunks.length) nats.publish(to, chunks[next++] ?? new Uint8Array(0), { reply })
  }
  const subscription = nats.subscribe(reply, {
    callback: (_, message) => {
      if (message.data.length === 0) return send()
      const { error } = message.json<{ error?: { description: string } }>()
      if (error === undefined) resolve()
      else reject(new Error(error.description))
    },
  })
  // Each answer sends the next chunk.
  for (let inFlight = 0; inFlight < 64; inFlight++) send()
  await promise
  subscription.unsubscribe()
}
