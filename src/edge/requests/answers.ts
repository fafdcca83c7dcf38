import type { Logger } from '../../base/logger.ts'
import { Semaphore } from '../../base/semaphore.ts'
import { ConfabError, type ErrorBody, type RequestType } from '../../events/index.ts'
import { flush } from '../sessions/outbox.ts'
import type { Session } from '../sessions/session.ts'
import type { WriteRoom } from '../sessions/slow-consumers.ts'

/** What a client may see of an error. The rest goes to the log, and says nothing of what was sent. */
export const visibleError = (error: unknown, logger: Logger, where: object): ErrorBody => {
  if (ConfabError.is(error)) return error.toBody()
  logger.error({ ...where, err: error }, 'a request failed')
  return new ConfabError('INTERNAL').toBody()
}

/** These are answered with as much as a frame holds. */
const large: ReadonlySet<RequestType> = new Set<RequestType>([
  'history',
  'inbox',
  'undelivered',
  'members',
  'search',
  'presence',
])

/** Whether an answer to it may be large. */
export const isLarge = (type: RequestType): boolean => large.has(type)

/** Of one session: those that are there at a time, whether they are being read or wait for room. 8 are 512 KiB at most. */
const mostAtOnce = 8

/** Of a session that asks for some at the moment. */
interface Lane {
  count: number
  readonly asking: Semaphore
  readonly leaving: Semaphore
}

/**
 * Answers that are large go to a session as fast as it takes them: a client that reads may ask for as many at once as there may be unanswered requests, which
 * together are more than may wait for a socket. What has not begun is the request alone.
 */
export class LargeAnswers {
  readonly #writeRoom: WriteRoom
  readonly #lanes = new Map<Session, Lane>()

  constructor(writeRoom: WriteRoom) {
    this.#writeRoom = writeRoom
  }

  /** Reads when few others of the session are there, and sends when it has room, one after another. Rejects as these do; of a session that has closed nothing is read. */
  async take<T>(
    session: Session,
    read: () => T | Promise<T>,
    send: (what: T) => void | Promise<void>,
  ): Promise<void> {
    const lane = this.#laneOf(session)
    lane.count++
    try {
      await lane.asking.run(async () => {
        if (session.closed) return
        const what = await read()
        await lane.leaving.run(async () => {
          await this.#writeRoom.room(session)
          await send(what)
          // The next one looks at what waits.
          flush(session)
        })
      })
    } finally {
      if (--lane.count === 0) this.#lanes.delete(session)
    }
  }

  #laneOf(session: Session): Lane {
    let lane = this.#lanes.get(session)
    if (lane === undefined) {
      lane = { count: 0, asking: new Semaphore(mostAtOnce), leaving: new Semaphore(1) }
      this.#lanes.set(session, lane)
    }
    return lane
  }
}
