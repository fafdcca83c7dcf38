import { jetstream, jetstreamManager } from '@nats-io/jetstream'
import type { Msg } from '@nats-io/transport-node'
import type { AggregateRef, StoredEvent } from '../../../events/index.ts'
import type {
  DeadLetter,
  DeadLetters,
  ProjectionName,
  RetryOutcome,
  RetryRequest,
} from '../../../projections/index.ts'
import type { Nats } from '../client/connection.ts'
import { NatsError, NatsProblem } from '../client/nats-error.ts'

const streamName = 'DEAD_LETTERS'
const retrySubject = 'confab.projections.retry'
/** Letters that are read at once. */
const page = 250
const noMessageFound = 10_037
/** A direct get's status. */
const noMessages = 404

/**
 * Files dead letters in the stream DEAD_LETTERS, subject `dead.<projection>`. A letter says where the event stands and why it was not taken; the event itself
 * stays where it is, in the log.
 */
export class NatsDeadLetters implements DeadLetters {
  readonly #nats: Nats

  constructor(nats: Nats) {
    this.#nats = nats
  }

  async publish(letter: DeadLetter, { aggregate, envelope }: StoredEvent): Promise<void> {
    const { projection, stream, streamSeq } = letter
    const body = { ...letter, aggregate, seq: envelope.seq, type: envelope.type, version: envelope.version }
    await jetstream(this.#nats.connection).publish(`dead.${projection}`, JSON.stringify(body), {
      msgID: `dead.${projection}.${stream}.${streamSeq}`,
    })
  }
}

/** A dead letter as it is filed. */
export interface FiledLetter extends DeadLetter {
  /** In DEAD_LETTERS: what operators name it by. */
  readonly sequence: number
  readonly projection: ProjectionName
  /** The event's. */
  readonly aggregate: AggregateRef
  readonly seq: number
  readonly type: string
}

/** All dead letters, or those of one projection, the oldest first. Rejects with NatsError. */
export async function* readDeadLetters(nats: Nats, projection?: ProjectionName): AsyncIterable<FiledLetter> {
  const subject = projection === undefined ? 'dead.>' : `dead.${projection}`
  try {
    const { direct } = await jetstreamManager(nats.connection, { checkAPI: false })
    for (let seq = 1; ; ) {
      let found = 0
      for await (const message of await direct.getBatch(streamName, {
        seq,
        batch: page,
        next_by_subj: subject,
      })) {
        found++
        seq = message.seq + 1
        yield { ...message.json<Omit<FiledLetter, 'sequence'>>(), sequence: message.seq }
      }
      if (found < page) return
    }
  } catch (error) {
    // There is none from there on.
    if ((error as { code?: unknown }).code === noMessages) return
    throw new NatsError(NatsProblem.failed, `the dead letters cannot be read: ${String(error)}`, error)
  }
}

/** Takes a letter out of the file; resolves with false when it is not there any more. */
export const removeDeadLetter = async (nats: Nats, sequence: number): Promise<boolean> => {
  const manager = await jetstreamManager(nats.connection, { checkAPI: false })
  try {
    return await manager.streams.deleteMessage(streamName, sequence, false)
  } catch (error) {
    if ((error as { code?: unknown }).code === noMessageFound) return false
    throw error
  }
}

/**
 * Answers who asks for a dead letter to be tried again, until the function that it returns is called. `retry` resolves with undefined for a stream of another
 * worker, who answers then.
 */
export const answerRetries = (
  nats: Nats,
  retry: (request: RetryRequest) => Promise<RetryOutcome | undefined>,
): (() => void) => {
  const answer = async (message: Msg): Promise<void> => {
    let outcome: RetryOutcome | undefined
    try {
      outcome = await retry(message.json<RetryRequest>())
    } catch (error) {
      outcome = { ok: false, reason: error instanceof Error ? error.message : String(error) }
    }
    if (outcome !== undefined) message.respond(JSON.stringify(outcome))
  }
  const subscription = nats.connection.subscribe(retrySubject, {
    callback: (_error, message) => void answer(message),
  })
  return () => subscription.unsubscribe()
}

/**
 * Asks for a dead letter to be tried again, in each database that holds the view: `databases` answers are waited for, for `waitMs` at most. Undefined: not all of
 * them came. An outcome that is not `ok` is told before those that are.
 */
export const askRetry = async (
  nats: Nats,
  { projection, stream, streamSeq }: RetryRequest,
  databases: number,
  waitMs = 10_000,
): Promise<RetryOutcome | undefined> => {
  const outcomes: RetryOutcome[] = []
  try {
    const request = JSON.stringify({ projection, stream, streamSeq })
    const answers = await nats.connection.requestMany(retrySubject, request, {
      strategy: 'count',
      maxMessages: databases,
      maxWait: waitMs,
    })
    for await (const answer of answers) outcomes.push(answer.json<RetryOutcome>())
  } catch (error) {
    if (!/no responders/i.test(String(error))) throw error
  }
  const refused = outcomes.find(({ ok }) => !ok)
  return refused ?? (outcomes.length < databases ? undefined : outcomes[0])
}
