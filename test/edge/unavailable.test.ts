import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { startConfab } from '../harness/confab.ts'

t.test('without the log, exact answers are refused, and everything continues when it returns', async t => {
  const confab = await startConfab(t, { limits: { stalenessMs: 1_500 } })
  const alice = await confab.connect('alice')
  await alice.ok('create', { c: 'tea', kind: 'group', members: ['bob'] })
  await confab.nats.kill9()
  const requests: [t: string, fields: object][] = [
    ['history', { c: 'tea' }],
    ['members', { c: 'tea' }],
    ['search', { q: 'x' }],
    ['inbox', {}],
    ['sync', { cursors: { tea: 0 } }],
    ['typing', { c: 'tea', on: true }],
    ['history', { c: 'nowhere' }],
  ]
  while ((await alice.code('inbox')) === 'ok') await sleep(50)
  for (const [type, fields] of requests) t.equal(await alice.code(type, { ...fields }), 'UNAVAILABLE', type)
  t.equal((await fetch(`${confab.url}/readyz`)).status, 503)
  t.equal((await fetch(`${confab.url}/healthz`)).status, 200)
  await alice.ok('ping')
  const late = await confab.socket()
  t.equal(await late.code('hello', { token: await confab.token('alice') }), 'UNAVAILABLE')
  await confab.nats.restart()
  while ((await alice.code('inbox')) !== 'ok') await sleep(50)
  await late.ok('hello', { token: await confab.token('alice') })
  await alice.ok('send', { c: 'tea', m: 'm1', text: 'back' })
  await late.event('tea', 2)
})

t.test('hello waits for a roster that lags beyond the memory, and then refuses', async t => {
  const confab = await startConfab(t, { limits: { membershipEvents: 4, rosterWaitMs: 100 } })
  const alice = await confab.connect('alice')
  await alice.ok('create', { c: 'first', kind: 'group', members: ['bob'] })
  await alice.ok('inbox')
  confab.pause('roster')
  for (let n = 0; n < 10; n++) await alice.ok('create', { c: `c${n}`, kind: 'group', members: ['bob'] })
  await alice.event('c9', 1)
  const bob = await confab.socket()
  const token = await confab.token('bob')
  t.match((await bob.request('hello', { token })).error, { code: 'UNAVAILABLE', retryable: true })
  t.equal((await fetch(`${confab.url}/readyz`)).status, 503)
  confab.resume('roster')
  while ((await bob.code('hello', { token })) !== 'ok') await sleep(20)
  await alice.ok('send', { c: 'c9', m: 'm1', text: 'hi' })
  await bob.event('c9', 2)
})
