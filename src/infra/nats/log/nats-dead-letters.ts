import { jetstream, jetstreamManager } from '@nats-io/jetstream'
import type { Msg } from '@nats-io/transport-node'
import {
  type AggregateRef,
  deadLetterSubjectOf,
  operatorText,
  type StoredEvent,
} from '../../../events/index.ts'
import type {
  DeadLetter,
  DeadLetters,
  ProjectionName,
  RetryOutcome,
  RetryRequest,
} from '../../../projections/index.ts'
import type { Nats } from '../client/connection.ts'
import { respond } from '../client/inboxes.ts'
import { ApiError, apiCodeOf, apiSubject, streamTaking } from '../client/jetstream-api.ts'
import { NatsError, NatsProblem, rightsError } from '../client/nats-error.ts'
import { ownRights } from '../rights/own-rights.ts'
import { countBySubject } from './subject-counts.ts'

/** The subjects of dead letters, one for each projection. */
export const deadLetterSubjects = 'dead.>'
/** Asks the projection workers to apply a dead letter again. */
export const retrySubject = 'confab.projections.retry'
/** Letters that are read in one request. */
const page = 250
/** Status of a direct get that found nothing. */
const noMessages = 404
/** Descriptions of a failed delete of a message that is not in the stream. */
const missingMessage = /no message found|EOF/

/**
 * Files dead letters under `dead.<projection>`. A letter holds the position of the event and the reason; the event
 * itself stays in the log.
 */
export class NatsDeadLetters implements DeadLetters {
  readonly #nats: Nats

  constructor(nats: Nats) {
    this.#nats = nats
  }

  async publish(letter: DeadLetter, { aggregate, envelope }: StoredEvent): Promise<void> {
    const { projection, stream, streamSeq } = letter
    const body = { ...letter, aggregate, seq: envelope.seq, type: envelope.type, version: envelope.version }
    const subject = deadLetterSubjectOf(projection)
    await jetstream(this.#nats.connection).publish(subject, JSON.stringify(body), {
      msgID: `${subject}.${stream}.${streamSeq}`,
    })
  }
}

/** A dead letter as it is filed. */
export interface FiledLetter extends DeadLetter {
  /** Sequence in the stream of dead letters. Operators name a letter by it. */
  readonly sequence: number
  readonly projection: ProjectionName
  /** The event's. */
  readonly aggregate: AggregateRef
  readonly seq: number
  readonly type: string
}

/** Reads all dead letters, or those of one projection, oldest first. Rejects with NatsError. */
export async function* readDeadLetters(nats: Nats, projection?: ProjectionName): AsyncIterable<FiledLetter> {
  const subject = projection === undefined ? deadLetterSubjects : deadLetterSubjectOf(projection)
  try {
    const manager = await jetstreamManager(nats.connection, { checkAPI: false })
    const stream = await streamTaking(manager, deadLetterSubjects)
    // nats.js reports a refused batch as a timeout.
    const subjectOfBatch = apiSubject('DIRECT.GET', stream)
    if (!(await ownRights(nats)).mayPublish(subjectOfBatch))
      throw rightsError({ operation: 'publish', subject: subjectOfBatch })
    for (let seq = 1; ; ) {
      let found = 0
      for await (const message of await manager.direct.getBatch(stream, {
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
    // No letter from this sequence on.
    if ((error as { code?: unknown }).code === noMessages) return
    if (NatsError.is(error)) throw error
    throw new NatsError(NatsProblem.failed, `the dead letters cannot be read: ${String(error)}`, error)
  }
}

/** Counts the dead letters of each projection that has any. Rejects with NatsError. */
export const countDeadLetters = async (nats: Nats): Promise<Readonly<Record<string, number>>> => {
  const manager = await jetstreamManager(nats.connection, { checkAPI: false })
  const { counts } = await countBySubject(
    nats,
    await streamTaking(manager, deadLetterSubjects),
    deadLetterSubjects,
  )
  const prefix = deadLetterSubjects.slice(0, -1)
  return Object.fromEntries([...counts].map(([subject, letters]) => [subject.slice(prefix.length), letters]))
}

/** Removes a letter. Resolves with false when there is no such letter. */
export const removeDeadLetter = async (nats: Nats, sequence: number): Promise<boolean> => {
  const manager = await jetstreamManager(nats.connection, { checkAPI: false })
  try {
    const stream = await streamTaking(manager, deadLetterSubjects)
    return await manager.streams.deleteMessage(stream, sequence, false)
  } catch (error) {
    if (apiCodeOf(error) === ApiError.deleteFailed && missingMessage.test(String(error))) return false
    throw error
  }
}

/**
 * Answers requests to retry a dead letter, until the returned function is called. `retry` resolves with undefined for a
 * stream of another worker, which answers then.
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
      outcome = { ok: false, reason: operatorText(error) }
    }
    if (outcome !== undefined) respond(message, JSON.stringify(outcome))
  }
  const subscription = nats.subscribe(retrySubject, answer)
  return () => subscription.unsubscribe()
}

/**
 * Requests a retry of a dead letter in each database that holds the view. Waits for `databases` answers, at most
 * `waitMs`. Resolves with undefined when an answer is missing, and with an outcome that is not `ok` before one that is.
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
