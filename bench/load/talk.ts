import { setImmediate as nextTurn, setTimeout as wait } from 'node:timers/promises'
import { type Dialect, Kind } from './dialects/index.ts'
import { SendFrame } from './frames.ts'
import type { TalkPlan, TalkResult } from './jobs.ts'
import { arrivals } from './shape.ts'
import { spread } from './spread.ts'
import type { WireSocket } from './wire-socket.ts'

/** A timer is up to a millisecond late. Messages that leave later than this are measured from their due time. */
const timerMs = 2
const silenceMs = 300
/** Messages to send before reading incoming frames. */
const burst = 16

/**
 * Sends like people and counts deliveries; the watching process checks them (watch.ts). Missing deliveries within the
 * timeout are not an error: that is the sign of too high a load. Rejects when a socket closed.
 */
export const talk = async (
  sockets: readonly WireSocket[],
  dialect: Dialect,
  plan: TalkPlan,
): Promise<TalkResult> => {
  const schedule = arrivals(
    plan.talks.map(({ weight, speakers }) => ({ weight, speakers: speakers.length })),
    plan,
  )
  const spare = plan.talks.map((): SendFrame[] => [])
  const underWay: (SendFrame | undefined)[] = []
  const sentAt = new Float64Array(schedule.length)
  const sent = plan.talks.map(() => 0)
  const ackMs: number[] = []
  let acked = 0
  let refused = 0
  let delivered = 0
  let lastAt = performance.now()

  for (const wire of sockets)
    dialect.listen(wire, (bytes, start, end) => {
      const kind = dialect.kind(bytes, start, end)
      if (kind === Kind.other) return
      if (kind === Kind.delivery) {
        delivered++
        return
      }
      const k = dialect.numberOf(bytes, start, end)
      const frame = underWay[k]
      if (frame === undefined) return
      underWay[k] = undefined
      spare[schedule[k]!.talk]!.push(frame)
      ackMs.push(performance.now() - sentAt[k]!)
      if (kind === Kind.ack) acked++
      else refused++
    })

  const startedAt = performance.now()
  for (const [k, { at, talk, speaker }] of schedule.entries()) {
    const due = startedAt + at
    if (due > performance.now()) await wait(due - performance.now())
    // When the generator is late: incoming frames have to be read in between.
    else if (k % burst === 0) await nextTurn()
    const { c, speakers, textBytes } = plan.talks[talk]!
    const frame = spare[talk]!.pop() ?? new SendFrame(dialect.template(c), textBytes)
    const late = performance.now() - due
    frame.set(k, Date.now(), late > timerMs ? late : 0)
    underWay[k] = frame
    sentAt[k] = performance.now() - (late > timerMs ? late : 0)
    sockets[speakers[speaker]!]!.write(frame.bytes)
    sent[talk]!++
  }
  const receivers = plan.talks.reduce((sum, { receivers }, n) => sum + receivers * sent[n]!, 0)
  const isComplete = () => acked === schedule.length && delivered >= receivers
  const before = () => acked + refused + delivered
  const endsAt = performance.now() + plan.waitMs
  for (let seen = before(); !isComplete(); seen = before()) {
    const closed = sockets.find(wire => wire.closed !== undefined)
    if (closed !== undefined) throw new Error(`a socket closed: ${closed.closed}`)
    await wait(2)
    if (before() !== seen) lastAt = performance.now()
    // Messages still in flight must not reach the next run.
    const now = performance.now()
    if (now > endsAt && (now - lastAt > silenceMs || now > endsAt + 10 * plan.waitMs)) break
  }
  if (delivered > receivers) throw new Error(`${delivered} deliveries, ${receivers} were due`)
  return { sent, complete: isComplete(), refused, ackMs: spread(ackMs) }
}
