import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { startConfab } from '../harness/confab.ts'
import type { RawClient } from '../harness/raw-client.ts'

const limits = { presenceEveryMs: 20, offlineMs: 50 }
const here = await startConfab(t, { limits })
const there = await startConfab(t, { nats: here.nats, limits })

const stateOf = async (client: RawClient, user: string): Promise<string | undefined> =>
  ((await client.ok('presence', { users: [user] })).states as Record<string, string>)[user]
/** Returns the states of a user in the pushes that a client received. */
const pushed = (client: RawClient, user: string) =>
  client.frames.filter(frame => frame.type === 'presence' && frame.user === user).map(frame => frame.state)
const until = async (condition: () => boolean | Promise<boolean>): Promise<void> => {
  for (let turn = 0; !(await condition()); turn++) {
    if (turn > 500) throw new Error('the condition does not become true')
    await sleep(10)
  }
}
/** Waits for several intervals of pushes. */
const quiet = async (client: RawClient) => {
  await sleep(10 * limits.presenceEveryMs)
  await client.settled()
}
const bytesOf = async (client: RawClient, fields: object): Promise<string> => {
  const { re: _re, ...answer } = await client.request('presence', { ...fields })
  return JSON.stringify(answer)
}

t.test('strangers and blocked users see an online user as one that does not exist', async t => {
  const stranger = await here.connect('stranger')
  const blocked = await here.connect('blocked')
  await blocked.ok('create', { c: 'shared', kind: 'group', members: ['dora'] })
  const dora = await there.connect('dora')
  await dora.ok('read', { c: 'shared', seq: 1 })
  await until(async () => (await stateOf(blocked, 'dora')) === 'online')
  await dora.ok('block', { user: 'blocked', on: true })
  await until(() => pushed(blocked, 'dora').includes('offline'))
  for (const client of [stranger, blocked])
    for (const fields of [{}, { lastSeen: true }]) {
      const [existing, absent] = await Promise.all(
        ['dora', 'nobody'].map(user => bytesOf(client, { users: [user], ...fields })),
      )
      t.equal(existing!.replace('dora', ''), absent!.replace('nobody', ''))
      await bytesOf(client, { users: ['dora'] })
    }
  for (const client of [stranger, blocked]) client.frames.length = 0
  dora.close()
  await sleep(5 * limits.offlineMs)
  const again = await there.connect('dora')
  await again.ok('presence', { state: 'away' })
  for (const client of [stranger, blocked]) {
    await quiet(client)
    t.same(pushed(client, 'dora'), [], 'no push tells a change')
  }
  await again.ok('block', { user: 'blocked', on: false })
  await until(() => pushed(blocked, 'dora').includes('away'))
  t.pass('a lifted block shows the user again')
})

t.test('a watch ends with the setting, and with the conversation that the two shared', async t => {
  const erin = await there.connect('erin')
  const fay = await here.connect('fay')
  await erin.ok('create', { c: 'owned', kind: 'group', members: ['fay', 'gus'] })
  await fay.event('owned', 1)
  await until(async () => (await stateOf(fay, 'erin')) === 'online')
  fay.frames.length = 0
  await erin.ok('privacy', { lastSeen: 'nobody' })
  await until(() => pushed(fay, 'erin').length === 1)
  t.same(pushed(fay, 'erin'), ['offline'])
  await erin.ok('privacy', { lastSeen: 'contacts' })
  await until(() => pushed(fay, 'erin').length === 2)
  t.same(pushed(fay, 'erin'), ['offline', 'online'])
  await fay.ok('leave', { c: 'owned' })
  await until(() => pushed(fay, 'erin').length === 3)
  t.same(pushed(fay, 'erin'), ['offline', 'online', 'offline'])
  await erin.ok('privacy', { lastSeen: 'everybody' })
  await until(() => pushed(fay, 'erin').length === 4)
  const gus = await here.connect('gus')
  await until(async () => (await stateOf(gus, 'erin')) === 'online')
  await erin.ok('privacy', { lastSeen: 'contacts' })
  await until(() => pushed(fay, 'erin').length === 5)
  t.equal(await stateOf(gus, 'erin'), 'online', 'a contact sees the user all the time')
  await quiet(gus)
  t.same(pushed(gus, 'erin'), [])
  await erin.ok('remove', { c: 'owned', user: 'gus' })
  await until(() => pushed(gus, 'erin').length === 1)
  t.same(pushed(gus, 'erin'), ['offline'], 'a removed user')
})

t.test('the count of a conversation of two does not reveal what the other one hides', async t => {
  for (const kind of ['direct', 'group'] as const) {
    const [hal, ida] = [await here.connect(`hal-${kind}`), await there.connect(`ida-${kind}`)]
    const c = `two-${kind}`
    await hal.ok('create', { c, kind, members: [`ida-${kind}`] })
    await ida.event(c, 1)
    const online = async (client: RawClient) => (await client.ok('presence', { c })).online
    await until(async () => (await online(ida)) === 2)
    t.equal(await online(hal), 1, 'the other one has not read anything')
    await ida.ok('read', { c, seq: 1 })
    await until(async () => (await online(hal)) === 2)
    await ida.ok('block', { user: `hal-${kind}`, on: true })
    await until(async () => (await online(hal)) === 1)
    t.equal(await online(ida), 2)
  }
})

t.test('the count of a small group includes only members that the caller sees', async t => {
  const [max, nia, ole] = [await here.connect('max'), await there.connect('nia'), await there.connect('ole')]
  await max.ok('create', { c: 'small', kind: 'group', members: ['nia', 'ole'] })
  await nia.ok('read', { c: 'small', seq: 1 })
  const online = async (client: RawClient) => (await client.ok('presence', { c: 'small' })).online
  await until(async () => (await online(max)) === 2)
  t.match(await max.ok('presence', { c: 'small' }), { online: 2, of: 3 }, 'ole has not read anything')
  await ole.ok('read', { c: 'small', seq: 1 })
  await until(async () => (await online(max)) === 3)
  await ole.ok('privacy', { lastSeen: 'nobody' })
  await until(async () => (await online(max)) === 2)
  t.equal(await online(ole), 3)
  await nia.ok('block', { user: 'max', on: true })
  await until(async () => (await online(max)) === 1)
})

t.test(
  'typing and markers of two users who are alone stop at a block, and answers do not change',
  async t => {
    for (const kind of ['direct', 'group', 'channel'] as const) {
      const [kim, lea] = [await here.connect(`kim-${kind}`), await there.connect(`lea-${kind}`)]
      const c = `block-${kind}`
      await kim.ok('create', { c, kind, members: [`lea-${kind}`] })
      await lea.event(c, 1)
      await kim.ok('send', { c, m: 'm1', text: 'hi' })
      await lea.event(c, 2)
      await lea.ok('read', { c, seq: 1 })
      await kim.find(frame => frame.type === 'receipt')
      t.match(await kim.ok('members', { c }), { members: [{}, { user: `lea-${kind}`, read: 1 }] })
      await lea.ok('block', { user: `kim-${kind}`, on: true })
      const blockIsKnown = async () => (await kim.code('send', { c, m: 'm2', text: 'x' })) === 'FORBIDDEN'
      await until(blockIsKnown)
      for (const client of [kim, lea]) client.frames.length = 0
      t.match(await lea.request('typing', { c, on: true }), { ok: true })
      t.match(await kim.request('typing', { c, on: true }), { ok: true })
      await lea.ok('read', { c, seq: 2 })
      await kim.ok('delivered', { c, seq: 2 })
      for (const client of [kim, lea]) {
        await quiet(client)
        t.same(
          client.frames.filter(frame => frame.t === 'signal'),
          [],
          kind,
        )
      }
      t.same(((await kim.ok('members', { c })).members as object[])[1], {
        user: `lea-${kind}`,
        role: 'member',
      })
      await lea.ok('block', { user: `kim-${kind}`, on: false })
      await until(async () => (await kim.code('send', { c, m: 'm3', text: 'x' })) === 'ok')
      await lea.ok('typing', { c, on: true })
      await kim.find(frame => frame.type === 'typing')
    }
  },
)
