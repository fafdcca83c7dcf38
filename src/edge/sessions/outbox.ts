import { type Encoding, encodeFrame, type Frame } from './frames.ts'
import type { Session } from './session.ts'
import { allSent } from './session.ts'

/** Buffered bytes from which on a session receives no signals. Stored events have priority. */
const slowBytes = 256 * 1024

/**
 * Frames that an outbox may hold before it is flushed within the turn; 2 MiB at most. The flush reveals slow consumers.
 */
const framesAtOnce = 32

/** Returns whether a session has so many buffered bytes that signals to it are dropped or delayed. */
export const isSlow = (session: Session): boolean => session.ws.getBufferedAmount() > slowBytes

/** Sessions with a non-empty outbox. */
let dirty: Session[] = []

// One function for all sessions: `cork` takes a callback, and a closure per flush would be garbage at a high rate.
let corked: Session
let frames: readonly Frame[]
const sendAll = (): void => {
  const binary = corked.encoding === 'msgpack'
  for (const frame of frames) {
    // A send over the buffer limit closes the socket. A closed socket must not be used.
    if (corked.closed) return
    corked.ws.send(frame, binary)
  }
}

/** Sends a session's outbox now, so that later frames of its topics arrive after it. */
export const flush = (session: Session): void => {
  const waiting = session.outbox
  if (waiting === undefined) return
  session.outbox = undefined
  if (session.closed) return
  if (waiting.length === 1) {
    if (session.ws.send(waiting[0]!, session.encoding === 'msgpack') !== allSent)
      session.onPressure?.(session)
    return
  }
  corked = session
  frames = waiting
  session.ws.cork(sendAll)
  // Within a cork, `send` does not report what is buffered.
  session.onPressure?.(session)
}

/** Sends all outboxes now. */
export const flushAll = (): void => {
  const sessions = dirty
  dirty = []
  for (const session of sessions) flush(session)
}

/**
 * Adds a frame to a session's outbox. All frames of one turn of the event loop are sent together at its end, in order:
 * one system call per session and turn.
 */
export const push = (session: Session, frame: Frame): void => {
  if (session.outbox !== undefined) {
    if (session.outbox.push(frame) >= framesAtOnce) flush(session)
    return
  }
  if (session.closed) return
  session.outbox = [frame]
  if (dirty.push(session) === 1) setImmediate(flushAll)
}

export const pushObject = (session: Session, value: object): void =>
  push(session, encodeFrame(session.encoding as Encoding, value))
