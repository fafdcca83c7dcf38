import type { Nats } from '../client/connection.ts'
import { apiSubject } from '../client/jetstream-api.ts'
import { NatsError, NatsProblem } from '../client/nats-error.ts'

/** A stream with very many subjects takes the server a while to list. */
const timeoutMs = 30_000

/** A part of the subjects of a stream, in the order of their names. */
export interface SubjectCounts {
  /** Number of stored messages by subject: at most 100,000 subjects. */
  readonly counts: ReadonlyMap<string, number>
  /** Number of matching subjects in the stream. */
  readonly total: number
}

interface InfoAnswer {
  readonly state?: { readonly subjects?: Readonly<Record<string, number>> }
  readonly total?: number
  readonly error?: { readonly description?: string }
}

/** Counts the messages of a stream's subjects, from the subject with this index on. Rejects with NatsError. */
export const countBySubject = async (
  { connection }: Nats,
  stream: string,
  filter: string,
  offset = 0,
): Promise<SubjectCounts> => {
  const request = JSON.stringify({ subjects_filter: filter, offset })
  let answer: InfoAnswer
  try {
    answer = (
      await connection.request(apiSubject('STREAM.INFO', stream), request, { timeout: timeoutMs })
    ).json()
  } catch (error) {
    throw new NatsError(
      NatsProblem.failed,
      `the subjects of ${stream} cannot be listed: ${String(error)}`,
      error,
    )
  }
  const { state, total, error } = answer
  if (state === undefined)
    throw new NatsError(
      NatsProblem.failed,
      `the subjects of ${stream} cannot be listed: ${error?.description}`,
    )
  const counts = new Map(Object.entries(state.subjects ?? {}))
  return { counts, total: total ?? counts.size }
}
