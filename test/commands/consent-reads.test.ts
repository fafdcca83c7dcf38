import t from 'tap'
import { subjectOf } from '../../src/events/index.ts'
import { c } from './given.ts'
import { type Asked, type Node, setUp } from './one-node.ts'
import { WatchedLog } from './watched-log.ts'

const refusalOf = (node: Node, from: string, request: Asked): Promise<object> =>
  node.as(from, request).then(
    () => ({}),
    ({ code, message, field }: { code: string; message: string; field: string }) => ({
      code,
      message,
      field,
    }),
  )

const refusal = (field: string) => ({
  code: 'FORBIDDEN',
  message: 'This user can be neither added nor invited by you.',
  field,
})

t.test('one sender reads a bounded number of logs at once, and others are served in between', async t => {
  const log = new WatchedLog()
  log.waitMs = 1
  const node = await setUp({ log })
  await node.as('bob', { t: 'create', c, kind: 'group', members: [] })
  log.mostAtOnce = 0
  let ended = 0
  const creations = Array.from({ length: 20 }, (_, n) => {
    const members = Array.from({ length: 100 }, (_, m) => `u${n}_${m}`)
    const request: Asked = { t: 'create', c: `m${n}`, kind: 'group', members }
    return node.as('mallory', request).finally(() => ended++)
  })
  await node.as('bob', { t: 'invite', c, user: 'carol' })
  t.ok(ended < creations.length / 2, `${ended} of mallory's creations ended before bob's invite`)
  await Promise.all(creations)
  // Besides the users: each conversation is read once.
  t.ok(log.mostAtOnce <= 50 + 20 + 2, `${log.mostAtOnce} reads at once`)
})

/** A node that has loaded nothing. Victim has a direct conversation with alice, with a message of victim. */
const withDirect = async (log: WatchedLog): Promise<{ direct: string }> => {
  const node = await setUp({ log })
  await node.as('alice', { t: 'create', c, kind: 'group', members: [] })
  const { c: direct } = (await node.as('victim', { t: 'direct', user: 'alice' })) as { c: string }
  await node.as('victim', { t: 'send', c: direct, m: 'm1', text: 'hi' })
  // A log of one event that is lost looks like that of a user without events.
  await node.as('victim', { t: 'profile', data: { name: 'Victim' } })
  await node.as('victim', { t: 'privacy', invitations: 'contacts' })
  return { direct }
}

const conversation = (id: string): string => subjectOf({ family: 'conv', id })
const user = (id: string): string => subjectOf({ family: 'user', id })

t.test('a log that cannot be read refuses the user as all other reasons do', async t => {
  for (const damaged of ['user', 'direct conversation']) {
    const log = new WatchedLog()
    const { direct } = await withDirect(log)
    log.lost.add(damaged === 'user' ? user('victim') : conversation(direct))
    const node = await setUp({ log })
    t.same(
      await refusalOf(node, 'alice', { t: 'create', c: 'c2', kind: 'group', members: ['bob', 'victim'] }),
      refusal('/members/1'),
      damaged,
    )
    t.same(await refusalOf(node, 'alice', { t: 'invite', c, user: 'victim' }), refusal('/user'), damaged)
    log.lost.clear()
    t.match(await node.as('alice', { t: 'invite', c, user: 'victim' }), { seq: 2 }, `${damaged}: repaired`)
  }
})

t.test('a damaged direct conversation is not said to be the one that a request creates', async t => {
  const log = new WatchedLog()
  const { direct } = await withDirect(log)
  log.lost.add(conversation(direct))
  const node = await setUp({ log })
  const requests: Asked[] = [
    { t: 'create', c: 'new', kind: 'direct', members: ['victim'] },
    { t: 'direct', user: 'victim' },
  ]
  for (const request of requests)
    t.match(await refusalOf(node, 'alice', request), { code: 'LOG_DAMAGED', field: undefined }, request.t)
})

t.test('a block takes the same reads as the setting that refuses all users', async t => {
  const reads: string[][] = []
  for (const reason of [
    { t: 'privacy', invitations: 'nobody' },
    { t: 'block', user: 'alice', on: true },
  ] as const) {
    const log = new WatchedLog()
    const { direct } = await withDirect(log)
    await (await setUp({ log })).as('victim', reason)
    const node = await setUp({ log })
    log.reads = []
    t.same(await refusalOf(node, 'alice', { t: 'invite', c, user: 'victim' }), refusal('/user'))
    reads.push(log.reads.map(subject => (subject === conversation(direct) ? 'direct' : subject)))
  }
  t.same(reads[1], reads[0])
})
