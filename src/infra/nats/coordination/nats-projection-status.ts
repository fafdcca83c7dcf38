import type { SupervisedStatus } from '../../../projections/index.ts'
import type { Nats } from '../client/connection.ts'

const subject = 'confab.projections.status'

/** What one worker says of the views that it builds. */
export interface WorkerStatus {
  readonly worker: string
  /** The database's technology. */
  readonly database: string
  /** Whether other workers feed the same database; else it is this one's alone. */
  readonly isShared: boolean
  readonly projections: readonly SupervisedStatus[]
}

/** Answers whoever asks how the projections of this process stand, until the function that it returns is called. */
export const answerProjectionStatus = (nats: Nats, status: () => readonly WorkerStatus[]): (() => void) => {
  const subscription = nats.connection.subscribe(subject, {
    callback: (_error, msg) => void msg.respond(JSON.stringify(status())),
  })
  return () => subscription.unsubscribe()
}

/** What all workers of the system answer within `waitMs` of silence; none when no process builds views. */
export const askProjectionStatus = async (nats: Nats, waitMs = 300): Promise<WorkerStatus[]> => {
  const found: WorkerStatus[] = []
  try {
    const answers = await nats.connection.requestMany(subject, undefined, {
      strategy: 'stall',
      stall: waitMs,
      maxWait: 5 * waitMs,
    })
    for await (const answer of answers) found.push(...answer.json<WorkerStatus[]>())
  } catch (error) {
    // Nobody listens.
    if (!/no responders/i.test(String(error))) throw error
  }
  return found
}
