import type { TemplatedApp } from 'uWebSockets.js'
import { oneEpoch, watchCuts } from '../commands/index.ts'
import { Access, rosterCheck } from './access/access.ts'
import { Memberships } from './access/memberships.ts'
import { ViewFreshness, ViewPositions } from './access/view-freshness.ts'
import { CatchUp } from './catch-up/catch-up.ts'
import { ConversationReader } from './catch-up/conversation-reader.ts'
import { LostEvents } from './catch-up/lost-events.ts'
import { SharedReads } from './catch-up/shared-reads.ts'
import { SlowConsumerCatchUp } from './catch-up/slow-consumer-catch-up.ts'
import { FanOut } from './delivery/fan-out.ts'
import { createInterest } from './delivery/interest.ts'
import { LiveEvents } from './delivery/live-events.ts'
import type { EdgeOptions } from './edge-options.ts'
import type { EdgeLimits } from './ports/edge-limits.ts'
import { SlowConsumers, WriteRoom } from './sessions/slow-consumers.ts'
import { Markers } from './signals/markers.ts'
import type { WiredSessions } from './wire-sessions.ts'

/** Bytes buffered for a session up to which catch-up continues. At most a quarter of the session's limit. */
const catchUpBytes = 512 * 1024
/** Interval at which buffered bytes are checked, ms. */
const slowConsumerMs = 500

/**
 * Wires the way of stored events to sessions: the live feed, the fan-out, and catch-up for sessions that miss events.
 * Adds listeners to the feed, so it must run before the feed starts.
 */
export const wireDelivery = (
  app: TemplatedApp,
  options: EdgeOptions,
  limits: EdgeLimits,
  { sessions, presence }: WiredSessions,
) => {
  const { epochs = oneEpoch, states, feed, views, log, metrics, logger } = options
  const roomBytes = Math.min(catchUpBytes, limits.backpressureBytes / 4)
  // Catch-up alone must not make a session a slow consumer.
  const slowFrom = roomBytes * 2
  const onResumed = (events: number): void => metrics.resumed(events)

  const isOnRoster = rosterCheck(views)
  const access = new Access(states, feed, isOnRoster, limits.stalenessMs)
  const positions = new ViewPositions(views, options.viewChanges)
  const freshness = new ViewFreshness(positions, feed)
  const memberships = new Memberships(
    { views, positions, feed },
    { bound: limits.membershipEvents, waitMs: limits.rosterWaitMs },
  )
  const reader = new ConversationReader(views.timeline, log, limits.lagEvents)
  const fanOut = new FanOut(app, sessions, { topicFrom: limits.topicFrom, checkBytes: slowFrom / 4 })
  const writeRoom = new WriteRoom(roomBytes, limits.slowMs)

  const reads = new SharedReads(reader, limits.resumeCacheBytes, shared => metrics.resumeServed(shared))
  const lostEvents = new LostEvents(epochs, log)
  const catchUp = new CatchUp(
    { lostEvents, states, feed, memberships, reader, reads, fanOut, writeRoom, logger, onResumed },
    limits,
  )
  const slowConsumerCatchUp = new SlowConsumerCatchUp(
    { fanOut, writeRoom, catchUp, onBehind: () => metrics.behind() },
    slowFrom,
  )
  const slowConsumers = new SlowConsumers(sessions, {
    most: limits.bufferedBytes,
    userMost: limits.userBufferedBytes,
    slowFrom,
    onSlow: session => slowConsumerCatchUp.slow(session),
  })

  const marks = new Markers({ states, views, freshness, sessions, fanOut, logger }, limits)
  const live = new LiveEvents({
    fanOut,
    sessions,
    memberships,
    catchUp,
    slowConsumers: slowConsumerCatchUp,
    marks,
    audience: presence.audience,
    metrics,
    logger,
  })
  feed.listen(live.listen, live.skipped)
  const interest = createInterest({
    fanOut,
    sessions,
    holdsUser: user => states.holdsUser(user),
    isCatchingUp: c => catchUp.needs(c),
  })
  feed.narrowTo(interest.events)
  const unwatch = watchCuts(epochs, (stream, streamSeq) => reads.cutOff(stream, streamSeq))
  let timer: NodeJS.Timeout | undefined

  return {
    epochs,
    lostEvents,
    access,
    isOnRoster,
    freshness,
    memberships,
    reader,
    fanOut,
    interest,
    writeRoom,
    catchUp,
    slowConsumerCatchUp,
    slowConsumers,
    start(): void {
      timer = setInterval(() => slowConsumers.check(), slowConsumerMs).unref()
    },
    stop(): void {
      clearInterval(timer)
      unwatch()
      lostEvents.close()
      memberships.close()
      marks.close()
    },
  }
}

export type WiredDelivery = ReturnType<typeof wireDelivery>
