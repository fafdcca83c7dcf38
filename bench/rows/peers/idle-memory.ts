import { setTimeout as wait } from 'node:timers/promises'
import { temporaryFolder } from '../../harness/folders.ts'
import type { Context, Row, Sample } from '../../row.ts'
import { type Contestant, contest, foundRooms, openUsers, type Rooms, type Server } from './contestants.ts'

/** Connected before the first measurement, to use up memory that the process has already allocated. */
const already = 2000
const measured = 5000
const users = already + measured
const settleMs = 500
const rooms: Rooms = Array.from({ length: users / 4 }, (_, n) =>
  Array.from({ length: 4 }, (_, k) => 4 * n + k),
)

type Work<T> = (contestant: Contestant, server: Server, defer: Context['defer']) => Promise<T>

/** A server per measurement, because a process reuses memory that it once had. */
const withServer = async <T>(contestant: Contestant, data: string, work: Work<T>): Promise<T> => {
  const ends: (() => unknown)[] = []
  const defer = (end: () => unknown) => void ends.push(end)
  try {
    const server = await contestant.start(false, data)
    defer(server.stop)
    return await work(contestant, server, defer)
  } finally {
    for (const end of ends.reverse()) await end()
  }
}

const found: Work<void> = async (contestant, { port }, defer) => {
  const all = [0, users] as const
  await foundRooms(contestant, await openUsers(defer, contestant, port, rooms, all), rooms, all)
}

const bytesEach: Work<Sample> = async (contestant, { port, memory }, defer) => {
  await openUsers(defer, contestant, port, rooms, [0, already])
  await wait(settleMs)
  const before = await memory()
  await openUsers(defer, contestant, port, rooms, [already, users])
  await wait(settleMs)
  return [((await memory()) - before) / measured / 1000]
}

export const peersMemoryRow: Row = {
  name: 'peers-memory',
  figures: [
    {
      path: 'memory of an idle authenticated socket in one room of 4, of 5,000',
      unit: 'kB',
      target: { rule: 'at most', value: 5 },
    },
  ],
  mostRounds: 3,
  prepare: context =>
    contest(context, async contestant => {
      const folder = temporaryFolder()
      context.defer(folder.remove)
      if (contestant.founds) await withServer(contestant, folder.path, found)
      return () => withServer(contestant, folder.path, bytesEach)
    }),
}
