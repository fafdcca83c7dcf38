import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { startConfab, type TestConfab } from '../harness/confab.ts'
import { writeDigests } from '../harness/digests.ts'
import { startNats } from '../harness/nats.ts'
import type { RawClient } from '../harness/raw-client.ts'

const nats = await startNats(t)
const digester = await nats.connect()
await writeDigests(t, digester)
const limits = { receiptEveryMs: 50, typingEveryMs: 100 }
const here = await startConfab(t, { nats, interest: 'conversations', limits })
const there = await startConfab(t, { nats, interest: 'conversations', limits })

const until = async (holds: () => boolean): Promise<void> => {
  while (!holds()) await sleep(5)
}
const areNarrow = (): boolean =>
  [here, there].every(({ feed, signals }) => feed.followed.isNarrow && signals.isNarrow)
await until(areNarrow)

const receipt = (client: RawClient, c: string, user: string, read: number): Promise<unknown> =>
  client.find(
    frame => frame.type === 'receipt' && frame.c === c && frame.user === user && Number(frame.read) >= read,
  )
const typing = (client: RawClient, c: string, on: boolean): Promise<unknown> =>
  client.find(frame => frame.type === 'typing' && frame.c === c && frame.on === on)

/** A conversation with so many messages, by its first member. */
const talk = async (owner: RawClient, c: string, members: readonly string[], messages: number) => {
  await owner.ok('create', { c, kind: 'group', members })
  for (let n = 0; n < messages; n++) await owner.ok('send', { c, m: `m${n}`, text: 'x' })
}

t.test('a marker reaches the devices of its user and the members, on both nodes', async t => {
  const [phone, laptop, tablet] = await Promise.all([
    here.connect('alice', { device: 'phone' }),
    here.connect('alice', { device: 'laptop' }),
    there.connect('alice', { device: 'tablet' }),
  ])
  const bob = await there.connect('bob')
  await talk(bob, 'tea', ['alice'], 4)
  await Promise.all([phone, laptop, tablet, bob].map(client => client.event('tea', 5)))
  await phone.ok('read', { c: 'tea', seq: 4 })
  await receipt(bob, 'tea', 'alice', 4)
  for (const device of [laptop, tablet])
    t.match(await device.find(frame => frame.t === 'inbox' && frame.read === 4), { c: 'tea', unread: 1 })
  await phone.ok('delivered', { c: 'tea', seq: 5 })
  t.match(await bob.find(frame => frame.type === 'receipt' && frame.delivered === 5), { read: 4 })
  t.notOk(
    phone.frames.some(frame => frame.t === 'inbox'),
    'the device that moved it knows it',
  )
  t.ok(areNarrow())
})

t.test('a receipt for a user without a session here has both markers', async t => {
  const carol = await here.connect('carol')
  const dave = await there.connect('dave')
  await talk(dave, 'milk', ['carol'], 3)
  await carol.event('milk', 4)
  // Markers in conversations that only this node needs.
  await talk(carol, 'own', [], 3)
  for (let seq = 1; seq <= 3; seq++) {
    await carol.ok('delivered', { c: 'milk', seq: seq + 1 })
    await carol.ok('read', { c: 'own', seq })
    await carol.ok('read', { c: 'milk', seq })
    await receipt(dave, 'milk', 'carol', seq)
  }
  t.match(dave.frames.filter(frame => frame.type === 'receipt').at(-1), { read: 3, delivered: 4 })
})

t.test('a marker that concerns no client of a node is skipped there', async t => {
  const erin = await here.connect('erin')
  await talk(erin, 'alone', [], 20)
  await until(() => there.feed.followed.skipped > 0)
  const before = there.feed.followed
  for (let seq = 1; seq <= 20; seq++) await erin.ok('read', { c: 'alone', seq })
  await until(() => there.feed.followed.skipped >= before.skipped + 20)
  t.equal(there.feed.followed.delivered, before.delivered)
})

t.test('settings of users take effect on a node that none of their events concerned', async t => {
  const frank = await here.connect('frank')
  const gina = await there.connect('gina')
  await frank.ok('create', { c: 'pair', kind: 'direct', members: ['gina'] })
  await gina.event('pair', 1)
  const call = { c: 'pair', to: 'frank', call: 'c1', kind: 'offer', data: 'v=0' }
  await gina.ok('call', call)
  t.match(await frank.find(frame => frame.type === 'call'), { user: 'gina', call: 'c1', kind: 'offer' })
  await frank.ok('call', { ...call, to: 'gina', kind: 'answer' })
  t.match(await gina.find(frame => frame.type === 'call'), { user: 'frank', kind: 'answer' })
  await frank.ok('block', { user: 'gina', on: true })
  let answer = await gina.request('call', call)
  while (answer.ok === true) answer = await gina.request('call', call)
  t.match(answer, { error: { code: 'FORBIDDEN' } })
})

t.test('typing reaches the members on the other node, also in a conversation that is new', async t => {
  const hugo = await here.connect('hugo')
  const iris = await there.connect('iris')
  for (const c of ['first', 'second']) {
    await hugo.ok('create', { c, kind: 'group', members: ['iris'] })
    await iris.event(c, 1)
    await iris.ok('typing', { c, on: true })
    await typing(hugo, c, true)
    await hugo.ok('typing', { c, on: true })
    await typing(iris, c, true)
    await hugo.ok('typing', { c, on: false })
    await typing(iris, c, false)
  }
  t.ok(areNarrow())
})

t.test('a device that connects elsewhere replaces its session, announced early or late', async t => {
  const first = await here.connect('jack', { device: 'phone' })
  const second = await there.connect('jack', { device: 'phone' })
  t.match(await first.closed, { code: 4003 })
  await second.ok('ping')
  // As the announcement of a session whose node did not receive that of the second.
  const announced: string[] = []
  const { connection } = await nats.connect()
  connection.subscribe('sig.*.jack', {
    callback: (_error, msg) => void announced.push((msg.json() as { session: string }).session),
  })
  await connection.flush()
  const session = '00000000-0000-7000-8000-000000000000'
  here.signals.publish('jack', { k: 'device', user: 'jack', device: 'phone', session })
  await until(() => announced.length === 2)
  t.equal(announced[0], session)
  t.ok(announced[1]! > session)
  await second.ok('ping')
})

/** Follows the markers of a user on one node, as receipts on the other, while something happens. */
const followMarkers = async (
  c: string,
  reader: TestConfab,
  member: TestConfab,
  meanwhile: () => Promise<void>,
) => {
  const [kate, leo] = [await reader.connect(`${c}-kate`), await member.connect(`${c}-leo`)]
  await talk(leo, c, [`${c}-kate`], 50)
  await kate.event(c, 51)
  let isOver = false
  const done = meanwhile().finally(() => {
    isOver = true
  })
  let seq = 0
  while (!isOver && seq < 50) {
    await kate.ok('read', { c, seq: ++seq })
    await receipt(leo, c, `${c}-kate`, seq)
    await kate.ok('typing', { c, on: seq % 2 === 1 })
    await sleep(100)
  }
  await done
  await kate.ok('read', { c, seq: 51 })
  await receipt(leo, c, `${c}-kate`, 51)
}

t.test('an invitation reaches the sessions of the user on a node that needs no event of it', async t => {
  const xena = await there.connect('xena')
  await xena.ok('privacy', { invitations: 'contacts' })
  const yuri = await here.connect('yuri')
  const pushed = (c: string, on: boolean) =>
    xena.find(frame => frame.t === 'invitation' && frame.c === c && frame.on === on)
  await yuri.ok('create', { c: 'named', kind: 'group', members: ['xena'] })
  await yuri.ok('create', { c: 'invited', kind: 'group', members: [] })
  await yuri.ok('invite', { c: 'invited', user: 'xena' })
  for (const c of ['named', 'invited']) t.match(await pushed(c, true), { by: 'yuri' })
  await yuri.ok('settings', { c: 'named', archived: true })
  await yuri.ok('remove', { c: 'invited', user: 'xena' })
  for (const c of ['named', 'invited']) t.ok(await pushed(c, false))
  t.ok(areNarrow())
})

t.test('a block ends what a session on another node sees of the user', async t => {
  const watcher = await there.connect('watcher')
  const star = await here.connect('star')
  await star.ok('privacy', { lastSeen: 'everybody' })
  const seen = async () =>
    ((await watcher.ok('presence', { users: ['star'] })).states as { star: string }).star
  while ((await seen()) !== 'online') await sleep(20)
  await star.ok('block', { user: 'watcher', on: true })
  await watcher.find(frame => frame.type === 'presence' && frame.user === 'star' && frame.state === 'offline')
  t.equal(await seen(), 'offline')
  t.ok(areNarrow())
})

t.test('when digests end and begin again, no marker is lost', async t => {
  await followMarkers('switch', here, there, async () => {
    await digester.close()
    await until(() => !here.feed.followed.isNarrow && !there.feed.followed.isNarrow)
    await until(() => !here.signals.isNarrow && !there.signals.isNarrow)
    t.equal(here.signals.subscriptions, 0)
  })
  await writeDigests(t, await nats.connect())
  await followMarkers('again', there, here, () => until(areNarrow))
  t.ok(here.signals.subscriptions > 0)
})
