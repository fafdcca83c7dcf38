import { setTimeout as wait } from 'node:timers/promises'
import { conversationId } from '../../load/frames.ts'
import type { RunPlan } from '../../load/jobs.ts'
import type { Row } from '../../row.ts'
import { contest, foundRooms, names, openUsers, type Rooms } from './contestants.ts'

const sockets = 1000
const conversations = 50
const missed = 20
const speakers = sockets + conversations
const talkers = speakers + 16

/**
 * Room n has 20 members that disconnect and resume, and one that stays and sends; four more rooms have the live
 * traffic.
 */
const rooms: Rooms = [
  ...Array.from({ length: conversations }, (_, n) => [
    sockets + n,
    ...Array.from({ length: sockets / conversations }, (_, k) => n + k * conversations),
  ]),
  ...Array.from({ length: 4 }, (_, n) => Array.from({ length: 4 }, (_, k) => speakers + 4 * n + k)),
]

export const peersComingBackRow: Row = {
  name: 'peers-coming-back',
  figures: [
    {
      path: '1,000 sockets back at once, 20 messages missed each, all caught up, with 100 other sends/s',
      unit: 's',
      target: { rule: 'at most', value: 0.3 },
    },
  ],
  prepare: context =>
    contest(
      context,
      async contestant => {
        const server = await contestant.start(true)
        context.defer(server.stop)
        const open = (users: readonly [number, number]) =>
          openUsers(context.defer, contestant, server.port, rooms, users)
        const crowd = await open([0, sockets])
        const speaking = await open([sockets, speakers])
        await foundRooms(contestant, speaking, rooms, [sockets, speakers])
        const talking = await open([speakers, talkers])
        await foundRooms(contestant, talking, rooms, [speakers, talkers])
        const plan: RunPlan = {
          senders: Array.from({ length: conversations }, (_, n) => ({ socket: n, c: conversationId(n) })),
          inFlight: 1,
          until: 'acked',
          receivers: 1,
          sample: 1,
          seconds: 30,
        }
        const live: RunPlan = {
          senders: Array.from({ length: 4 }, (_, n) => ({
            socket: 4 * n,
            c: conversationId(conversations + n),
          })),
          inFlight: 1,
          until: 'acked',
          receivers: 4,
          sample: 1,
          rate: 100,
          seconds: 4,
        }
        return async () => {
          await crowd.follow()
          await speaking.run({ ...plan, each: 1 })
          await crowd.drop()
          await speaking.run({ ...plan, each: missed })
          const back = async () => {
            await wait(500)
            return crowd.comeBack({ missed })
          }
          const [{ seconds }] = await Promise.all([back(), talking.run(live)])
          return [seconds]
        }
      },
      // It stores nothing.
      { without: [names.raw] },
    ),
}
