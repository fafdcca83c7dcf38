import type { Session } from '../sessions/session.ts'

/**
 * The order of the commands of one session on one conversation. The command bus keeps the order in which it is called.
 * A request that waits before that call takes a turn, and so does every request behind it. While no request waits, a
 * session has no turns and its requests call the bus at once.
 */
interface Turn {
  /** Resolves when the earlier turns have ended; undefined without earlier turns. Never rejects. */
  readonly earlier: Promise<void> | undefined
  end(): void
}

const takeTurn = (session: Session, c: string): Turn => {
  session.turns ??= new Map()
  const { turns } = session
  const earlier = turns.get(c)
  const { promise, resolve } = Promise.withResolvers<void>()
  turns.set(c, promise)
  return {
    earlier,
    end: () => {
      resolve()
      if (turns.get(c) !== promise) return
      turns.delete(c)
      if (turns.size === 0) session.turns = undefined
    },
  }
}

/** Whether earlier requests of the session on the conversation wait before the command bus. */
export const mustWait = (session: Session | undefined, c: string): session is Session =>
  session?.turns?.has(c) === true

/** Calls the bus after the earlier requests have called it. */
export const afterEarlier = async <A>(session: Session, c: string, call: () => Promise<A>): Promise<A> => {
  const turn = takeTurn(session, c)
  try {
    await turn.earlier
    // Not awaited: the turn ends when the bus has the command.
    return call()
  } finally {
    turn.end()
  }
}

/**
 * Calls the bus with the result of a preparation, which runs beside the preparations of earlier requests. A failed
 * preparation is repeated after the earlier requests, because it may depend on them. Later requests wait for it.
 * Requests without a session have no order.
 */
export const afterPreparation = async <P, A>(
  session: Session | undefined,
  c: string,
  prepared: Promise<P>,
  prepareAgain: () => Promise<P>,
  call: (prepared: P) => Promise<A>,
): Promise<A> => {
  const turn = session === undefined ? undefined : takeTurn(session, c)
  const earlier = turn?.earlier
  try {
    await Promise.allSettled([prepared, earlier])
    return call(await (earlier === undefined ? prepared : prepared.catch(prepareAgain)))
  } finally {
    turn?.end()
  }
}

/**
 * Calls the bus after the earlier requests, and holds later ones until the answer. For commands that change members:
 * the bus may continue them in the log of a user, while it decides later commands of the conversation.
 */
export const untilAnswered = async <A>(
  session: Session | undefined,
  c: string,
  call: () => Promise<A>,
): Promise<A> => {
  const turn = session === undefined ? undefined : takeTurn(session, c)
  try {
    await turn?.earlier
    return await call()
  } finally {
    turn?.end()
  }
}
