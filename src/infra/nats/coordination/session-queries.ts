import type { NodeSessions, SessionQueries, SessionQuery } from '../../../edge/ports/session-queries.ts'
import type { Nats } from '../client/connection.ts'
import { respond } from '../client/inboxes.ts'
import { rightsError } from '../client/nats-error.ts'
import { headerText, statusIn } from '../client/raw-message.ts'
import { checkConnected } from './kv-bucket.ts'

/** Asks all edge nodes for their sessions. */
export const sessionsSubject = 'confab.sessions.list'
/** Wait for all answers, ms. */
const longestMs = 2_000
/** Silence after which no further node is expected to answer, ms. */
const silenceMs = 500
/** The same, when all known nodes have answered: a node may have started a moment ago. */
const lastMs = 30

/**
 * Queries to all edge nodes over core NATS. Each node answers each query once. The answers are complete when all known
 * nodes have answered and no further one follows, or after a silence.
 */
export const createSessionQueries = (nats: Nats): SessionQueries => ({
  answer: handle => {
    const subscription = nats.subscribe(sessionsSubject, async msg => {
      respond(msg, JSON.stringify(await handle(msg.json<SessionQuery>())))
    })
    return () => subscription.unsubscribe()
  },
  ask: async (query, nodes) => {
    checkConnected(nats)
    const found: NodeSessions[] = []
    await new Promise<void>((resolve, reject) => {
      const unlisten = nats.onRefusedPublish(refused => {
        if (refused !== sessionsSubject) return
        reject(rightsError({ operation: 'publish', subject: refused }))
        end()
      })
      const longest = setTimeout(() => end(), longestMs)
      let silence: NodeJS.Timeout | undefined
      const inbox = nats.newInbox()
      const subscription = nats.subscribe(inbox, msg => {
        clearTimeout(silence)
        // 503: no node is connected to NATS.
        if (statusIn(headerText(msg)) === 503) return end()
        found.push(msg.json<NodeSessions>())
        silence = setTimeout(() => end(), nodes > 0 && found.length >= nodes ? lastMs : silenceMs)
      })
      const end = (): void => {
        unlisten()
        clearTimeout(longest)
        clearTimeout(silence)
        subscription.unsubscribe()
        resolve()
      }
      nats.connection.publish(sessionsSubject, JSON.stringify(query), { reply: inbox })
    })
    return found
  },
})
