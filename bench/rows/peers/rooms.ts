import { conversationId } from '../../load/frames.ts'
import type { RunPlan, RunResult } from '../../load/jobs.ts'
import type { Context, Row, Sample, Sides } from '../../row.ts'
import { contest, foundRooms, names, openUsers, type Rooms } from './contestants.ts'

const textBytes = 150

const one: Rooms = [Array.from({ length: 1000 }, (_, n) => n)]
const fifty: Rooms = Array.from({ length: 50 }, (_, n) => [4 * n, 4 * n + 1, 4 * n + 2, 4 * n + 3])

/** One run of all programs: each is up, and idle except in its turn. */
const inTurns = (
  context: Context,
  rooms: Rooms,
  plan: RunPlan,
  take: (result: RunResult) => Sample,
): Promise<Sides> =>
  contest(context, async contestant => {
    const server = await contestant.start(false)
    context.defer(server.stop)
    const users = [0, rooms.flat().length] as const
    const load = await openUsers(context.defer, contestant, server.port, rooms, users)
    await foundRooms(contestant, load, rooms, users)
    let isFirst = true
    return async () => {
      const result = await load.run(plan)
      if (isFirst)
        context.tell(`${contestant.name}: the generator keeps ${result.cores.toFixed(2)} cores busy`)
      isFirst = false
      return take(result)
    }
  })

export const peersRoomRow: Row = {
  name: 'peers-room',
  figures: [
    {
      path: 'a room of 1,000 sockets, 150-byte texts, one publisher with 8 in flight',
      unit: 'deliveries/s',
      target: { rule: 'ratio at least', value: 1, to: names.centrifuge },
    },
  ],
  turns: 2,
  prepare: context =>
    inTurns(
      context,
      one,
      {
        senders: [{ socket: 0, c: conversationId(0) }],
        inFlight: 8,
        until: 'delivered',
        receivers: 1000,
        sample: 50,
        napMs: 2,
        textBytes,
        seconds: context.quick ? 0.5 : 1,
      },
      ({ delivered, seconds }) => [delivered / seconds],
    ),
}

const speakers = fifty.map(([first], n) => ({ socket: first!, c: conversationId(n) }))
const small = { senders: speakers, inFlight: 1, until: 'acked', receivers: 4, sample: 1, textBytes } as const

export const peersSmallRoomsRow: Row = {
  name: 'peers-small-rooms',
  figures: [
    {
      path: '50 rooms of 4, 50 senders with one in flight, acked and delivered',
      unit: 'messages/s',
      target: { rule: 'ratio at least', value: 1, to: names.socketIo },
    },
  ],
  turns: 2,
  prepare: context =>
    inTurns(context, fifty, { ...small, seconds: context.quick ? 0.5 : 1 }, ({ sent, seconds }) => [
      sent / seconds,
    ]),
}

export const peersLatencyRow: Row = {
  name: 'peers-latency',
  figures: [
    {
      path: '100 sends/s in 50 rooms of 4, send to delivery, p50',
      unit: 'ms',
      target: { rule: 'at most', value: 1 },
    },
    { path: 'the same, p99', unit: 'ms', target: { rule: 'at most', value: 2.5 } },
  ],
  prepare: context =>
    inTurns(context, fifty, { ...small, rate: 100, seconds: context.quick ? 2 : 5 }, ({ deliveryMs }) => [
      deliveryMs.p50,
      deliveryMs.p99,
    ]),
}
