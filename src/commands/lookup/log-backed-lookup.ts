import { ConfabError, LogDamagedError, UnreadableEventError } from '../../events/index.ts'
import { defaultBusLimits } from '../bus/bus-limits.ts'
import type { EventLog } from '../ports/event-log.ts'
import type { LiveFeed } from '../ports/live-feed.ts'
import type { MessageIndex, MessageLookup, MessageRef } from '../ports/message-lookup.ts'
import { LogMessageIndex } from './log-message-index.ts'

const { lookupBytes: defaultBytes } = defaultBusLimits

/** Creates exact look-ups on a view that may lag. Events that the view lacks are read from the log once and cached. */
export const createViewLookup = (
  view: MessageIndex,
  log: EventLog,
  maxBytes: number = defaultBytes,
): MessageLookup => {
  const remainder = new LogMessageIndex(log, maxBytes)
  return {
    find: orUnavailable(async (c, m, upTo) => {
      // Read the head first. The view may advance before it returns the message, and then holds more than the head
      // says.
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
 * Creates exact look-ups for a process without views. The first look-up in a conversation reads its whole log, later
 * ones the new events. With a live feed, which must not be started yet, the feed delivers the new events.
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

/**
 * Turns errors of a view into UNAVAILABLE, which the command bus retries. Errors about unreadable and missing events
 * keep their codes.
 */
const orUnavailable =
  (find: Find): Find =>
  async (c, m, upTo) => {
    try {
      return await find(c, m, upTo)
    } catch (error) {
      if (ConfabError.is(error) || UnreadableEventError.is(error) || LogDamagedError.is(error))
        throw ConfabError.from(error)
      throw new ConfabError('UNAVAILABLE', undefined, { cause: error })
    }
  }
