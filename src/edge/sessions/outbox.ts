import { type Encoding, encodeFrame, type Frame } from './frames.ts'
import type { Session } from './session.ts'
import { allSent } from './session.ts'

/** Bytes that wait for a session from which on it gets no signals: what is stored goes first. */
const slowBytes = 256 * 1024

/** Frames that a turn of the loop may gather for a session before it has to be known whether it takes them: 2 MiB at most. */
const framesAtOnce = 32

/** Whether so much waits for a session that signals to it are dropped, or told later. */
export const isSlow = (session: Session): boolean => session.ws.getBufferedAmount() > slowBytes

/** Sessions that have frames to send. */
let dirty: Session[] = []

// One function for all sessions: `cork` wants a callback, and a closure a flush would be garbage at the highest rate of all.
let corked: Session
let frames: readonly Frame[]
const sendAll = (): void => {
  const binary = corked.encoding === 'msgpack'
  for (const frame of frames) {
    // A send over the limit closes the socket, and then it may not be touched any more.
    if (corked.closed) return
    corked.ws.send(frame, binary)
  }
}

/** Sends now what a session has been given. What comes to it by a topic after this comes after this. */
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
  // What a corked socket takes shows only now.
  session.onPressure?.(session)
}

/** Sends now what all sessions have been given. */
export const flushAll = (): void => {
  const sessions = dirty
  dirty = []
  for (const session of sessions) flush(session)
}

/**
 * Gives a session a frame, which goes out at the end of this turn of the loop, with all that it was given in it: one system call a socket and turn, whatever
 * came of it. The order is kept.
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
