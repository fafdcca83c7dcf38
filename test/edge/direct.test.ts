import t from 'tap'
import { createClient, RequestError } from '../../src/client/index.ts'
import { startConfab } from '../harness/confab.ts'
import { httpOf } from '../harness/upload.ts'

const one = await startConfab(t)
const two = await startConfab(t, { nats: one.nats })

t.test('both users open one direct conversation, at two nodes at once', async t => {
  const [ann, bob] = [await one.connect('ann'), await two.connect('bob')]
  const [mine, theirs] = await Promise.all([
    ann.ok('direct', { user: 'bob' }),
    bob.ok('direct', { user: 'ann' }),
  ])
  const { c } = mine as { c: string }
  t.equal(theirs.c, c)
  t.notOk(c.includes('ann') || c.includes('bob'), 'the id tells nothing')
  t.equal([mine, theirs].filter(({ created }) => created === true).length, 1)
  for (const user of [ann, bob])
    t.match(await user.event(c as string, 1), { type: 'conversation.created', kind: 'direct' })
  t.match(await ann.ok('send', { c, m: 'm1', text: 'hi' }), { seq: 2 })
  t.match(await bob.ok('direct', { user: 'ann' }), { c, seq: 2, created: false })
  t.match((await bob.ok('inbox', { seen: { [c]: 2 } })).items, [{ c, peer: 'ann', unread: 1 }])
  const eve = await one.connect('eve')
  t.equal(await eve.code('conversation', { c }), 'NOT_FOUND')
})

t.test('over HTTP, and an error that names the conversation', async t => {
  const [cyd, dan] = [httpOf(one, 'cyd'), httpOf(two, 'dan')]
  const opened = await cyd.request('direct', { user: 'dan' })
  t.match(opened, { ok: true, seq: 1, created: true })
  t.match(await dan.request('create', { c: 'another', kind: 'direct', members: ['cyd'] }), {
    ok: false,
    error: { code: 'ALREADY_EXISTS', field: '/members', c: opened.c },
  })
})

t.test('with the client library', async t => {
  const client = createClient({
    url: `${one.url.replace('http', 'ws')}/v1/ws`,
    token: () => one.token('eva'),
  })
  t.teardown(() => client.close())
  await client.connect()
  const { c, created } = await client.direct('fay')
  t.equal(created, true)
  t.match(await client.direct('fay'), { c, seq: 1, created: false })
  const refused = await client
    .request('create', { c: 'own', kind: 'direct', members: ['fay'] })
    .catch(error => error)
  t.ok(RequestError.is(refused) && refused.body.c === c)
})
