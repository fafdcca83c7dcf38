import type { NatsConnection } from '@nats-io/transport-node'
import { RawPublisher } from './raw-publisher.ts'

export interface RawMessage {
  readonly body: Uint8Array
  readonly id: string
  /** Further headers, as text. */
  readonly headers: string
}

export interface RawSubject {
  readonly name: string
  readonly messages: readonly RawMessage[]
}

/**
 * Publishes everything, one publish under way in each subject; all subjects are new. Resolves when the last message is
 * stored. `onEach` is called after each message, with its index in its subject.
 */
export const rawAppend = async (
  nats: NatsConnection,
  subjects: readonly RawSubject[],
  onEach?: (subject: RawSubject, index: number) => void,
): Promise<void> => {
  const publisher = new RawPublisher(nats)
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  let left = subjects.reduce((sum, { messages }) => sum + messages.length, 0)
  const send = (subject: RawSubject, n: number, expected: number): void => {
    const message = subject.messages[n]
    if (message === undefined) return
    const onStored = (seq: number, refusal?: string): void => {
      onEach?.(subject, n)
      if (refusal !== undefined) reject(new Error(refusal))
      else if (--left === 0) resolve()
      else send(subject, n + 1, seq)
    }
    publisher.publish(subject.name, message.body, message.id, expected, onStored, message.headers)
  }
  for (const subject of subjects) send(subject, 0, 0)
  await promise
  publisher.close()
}
