import type { NatsConnection } from '@nats-io/transport-node'

/** Reads the last message of a subject, as fast as the server answers. */
export const readLast = async (
  nats: NatsConnection,
  stream: string,
  subject: string,
): Promise<Uint8Array> => {
  const { data } = await nats.request(`$JS.API.DIRECT.GET.${stream}.${subject}`)
  return data
}
