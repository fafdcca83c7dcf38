import { markLogged } from '../../base/logged-errors.ts'
import type { Logger } from '../../base/logger.ts'
import { Semaphore } from '../../base/semaphore.ts'
import { ConfabError, type ErrorBody, type Request } from '../../events/index.ts'
import { notFound, type RosterCheck } from '../access/access.ts'
import { flush } from '../sessions/outbox.ts'
import type { Session } from '../sessions/session.ts'
import type { WriteRoom } from '../sessions/slow-consumers.ts'

/**
 * Returns the part of an error that a client may see. Every answer with an error comes from here. Logs the cause of an
 * INTERNAL, and any error without a code, unless another component has logged it; never the request's content.
 */
export const visibleError = (error: unknown, logger: Logger, where: object): ErrorBody => {
  const visible = ConfabError.from(error)
  if (visible !== error || visible.code === 'INTERNAL') {
    const cause = visible.cause ?? visible
    if (markLogged(cause)) logger.error({ ...where, err: cause }, 'request failed')
  }
  return visible.toBody()
}

/**
 * Returns the error of a request on a conversation whose log has lost events, as the user may see it: a stranger must
 * not learn that the conversation exists.
 */
export const damageSeenBy = async (
  error: unknown,
  request: Request,
  user: string,
  isOnRoster: RosterCheck,
): Promise<unknown> => {
  if (!('c' in request) || (await isOnRoster(request.c as string, user))) return error
  return request.t === 'create' ? new ConfabError('ALREADY_EXISTS', undefined, { field: '/c' }) : notFound()
}

/** Large answers that are read or wait for back-pressure. An answer has 64 KiB at most. */
export interface LargeAnswerLimits {
  /** Of one session. */
  readonly largeAnswers: number
  /** Of all sessions of one user. More than one session's, so that a slow consumer cannot take all of them. */
  readonly userLargeAnswers: number
}

/** The large answers of one session. */
interface SessionQueue {
  count: number
  readonly reading: Semaphore
  readonly sending: Semaphore
}

/** The large answers of all sessions of one user on this node. */
interface UserQueue {
  count: number
  readonly reading: Semaphore
}

/**
 * Reads and sends large answers as fast as the client receives them. The unanswered requests of a session may ask for
 * far more bytes than may be buffered for it. A request that waits here holds nothing but itself.
 */
export class LargeAnswers {
  readonly #writeRoom: WriteRoom
  readonly #limits: LargeAnswerLimits
  readonly #sessions = new Map<Session, SessionQueue>()
  readonly #users = new Map<string, UserQueue>()

  constructor(writeRoom: WriteRoom, limits: LargeAnswerLimits) {
    this.#writeRoom = writeRoom
    this.#limits = limits
  }

  /**
   * Reads an answer when its session and user have a free slot, and sends it when few bytes are buffered for the
   * session, one answer at a time. Reads nothing for a closed session. Rejects as `read` and `send` do.
   */
  async answer<T>(
    session: Session,
    read: () => T | Promise<T>,
    send: (answer: T) => void | Promise<void>,
  ): Promise<void> {
    const { user } = session
    const queue = this.#queueOf(session)
    const ofUser = this.#userQueueOf(user)
    queue.count++
    ofUser.count++
    try {
      await queue.reading.run(() =>
        ofUser.reading.run(async () => {
          if (session.closed) return
          const answer = await read()
          await queue.sending.run(async () => {
            await this.#writeRoom.room(session)
            await send(answer)
            // The next answer checks the buffered bytes.
            flush(session)
          })
        }),
      )
    } finally {
      if (--queue.count === 0) this.#sessions.delete(session)
      if (--ofUser.count === 0) this.#users.delete(user)
    }
  }

  #queueOf(session: Session): SessionQueue {
    let queue = this.#sessions.get(session)
    if (queue === undefined) {
      queue = { count: 0, reading: new Semaphore(this.#limits.largeAnswers), sending: new Semaphore(1) }
      this.#sessions.set(session, queue)
    }
    return queue
  }

  #userQueueOf(user: string): UserQueue {
    let queue = this.#users.get(user)
    if (queue === undefined) {
      queue = { count: 0, reading: new Semaphore(this.#limits.userLargeAnswers) }
      this.#users.set(user, queue)
    }
    return queue
  }
}
