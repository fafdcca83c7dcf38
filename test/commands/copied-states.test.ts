import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { createFollowingStates } from '../../src/commands/index.ts'
import type { StoredEvent } from '../../src/events/index.ts'
import { MemoryEventLog, MemoryLiveFeed, MemorySnapshotStore } from '../../src/infra/memory/index.ts'
import { createGroup, send, setUp } from './one-node.ts'

/** States of a process whose log is a copy. `copy` brings the copy up to date. */
const copied = async (isCopy = true) => {
  const home = await setUp()
  const log = new MemoryEventLog()
  const feed = new MemoryLiveFeed(log, 'later')
  const states = createFollowingStates({ log, feed, snapshots: new MemorySnapshotStore(), isCopy })
  await feed.start()
  let last = 0
  const copy = async (): Promise<void> => {
    for (const { aggregate, envelope, data, streamSeq } of home.log.stream('CONV_0') as StoredEvent[])
      if (streamSeq > last) {
        await log.append(aggregate, last, [{ envelope, data }])
        last = streamSeq
      }
  }
  return { home, states, copy }
}

t.test('a read waits for the events that the home has acknowledged', async t => {
  const { home, states, copy } = await copied()
  await createGroup(home)
  states.appended('c1', 1)
  const created = states.conversation('c1')
  await sleep(50)
  await copy()
  t.equal((await created)?.head, 1, 'of a conversation that the copy did not have')
  await home.as('bob', send('m1'))
  states.appended('c1', 2)
  const current = states.currentConversation('c1')
  await sleep(50)
  await copy()
  t.equal((await current)?.head, 2, 'of one that it had')
  t.equal((await states.conversation('c1'))?.head, 2)
})

t.test('a copy that is cut off stays readable', async t => {
  const { home, states, copy } = await copied()
  await createGroup(home)
  await copy()
  states.appended('c1', 2)
  t.equal((await states.conversation('c1'))?.head, 1)
  states.appended('c2', 1)
  await t.rejects(
    Promise.resolve(states.conversation('c2')),
    { code: 'UNAVAILABLE' },
    'not: it does not exist',
  )
  t.equal(await states.conversation('c3'), undefined)
})
