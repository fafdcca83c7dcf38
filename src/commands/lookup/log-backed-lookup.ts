import { ConfabError } from '../../events/index.ts'
import { defaultBusLimits } from '../bus/bus-limits.ts'
import type { EventLog } from '../ports/event-log.ts'
import type { LiveFeed } from '../ports/live-feed.ts'
import type { MessageIndex, MessageLookup, MessageRef } from '../ports/message-lookup.ts'
import { LogMessageIndex } from './log-message-index.ts'

const { lookupBytes: defaultBytes } = defaultBusLimits

/** Exact look-ups in a view that may lag: what it does not hold yet is read from the log, once, and kept for as long as memory lasts. */
export const createViewLookup = (
  view: MessageIndex,
  log: EventLog,
  maxBytes: number = defaultBytes,
): MessageLookup => {
  const remainder = new LogMessageIndex(log, maxBytes)
  return {
    find: orUnavailable(async (c, m, upTo) => {
      // The head comes first: the view may have moved on when it is asked for the message, and then holds all the more.
      const head = (await view.head(c)) ?? { seq: 0, streamSeq: 0 }
      const found = await view.findMessage(c, m)
      if (head.seq >= upTo) return found
      const part = await remainder.upTo(c, head, upTo)
      const message = part.posted.get(m) ?? found
      return message !== undefined && part.deleted.has(m) ? { ...message, deleted: true } : message
    }),
  }
}

/**
 * Exact look-ups for a process without views: a conversation's whole log is read when a message of it is first looked up, and again as it grows, unless a feed
 * (not started yet) brings what comes.
 */
export const createLogLookup = (
  log: EventLog,
  maxBytes: number = defaultBytes,
  feed?: Pick<LiveFeed, 'listen'>,
): MessageLookup => {
  const index = new LogMessageIndex(log, maxBytes)
  feed?.listen(stored => index.feed(stored))
  return {
    find: orUnavailable(async (c, m, upTo) =>
      (await index.upTo(c, { seq: 0, streamSeq: 0 }, upTo)).posted.get(m),
    ),
  }
}

type Find = (c: string, m: string, upTo: number) => Promise<MessageRef | undefined>

/** A view's own errors say nothing to who asks. */
const orUnavailable =
  (find: Find): Find =>
  async (c, m, upTo) => {
    try {
      return await find(c, m, upTo)
    } catch (error) {
      throw ConfabError.is(error) ? error : new ConfabError('UNAVAILABLE', undefined, { cause: error })
    }
  }
