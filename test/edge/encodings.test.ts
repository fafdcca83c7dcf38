import t from 'tap'
import { startConfab } from '../harness/confab.ts'
import type { Fields, RawClient } from '../harness/raw-client.ts'

const confab = await startConfab(t)

t.test('JSON and MessagePack clients see the same', async t => {
  const json = await confab.connect('alice', { subprotocol: 'confab.v1.json', device: 'a' })
  const pack = await confab.connect('alice', { subprotocol: 'confab.v1.msgpack', device: 'b' })
  const text = `Tee 🫖 \u0000 \u2028 "\\" ${'茶'.repeat(300)}`
  await pack.ok('create', { c: 'tea', kind: 'group', title: 'Tée', members: ['bob'] })
  await pack.ok('send', { c: 'tea', m: 'm1', text })
  await json.ok('send', { c: 'tea', m: 'm2', text })
  await json.ok('react', { c: 'tea', m: 'm2', emoji: '👍🏽', on: true })
  for (const socket of [json, pack]) await socket.event('tea', 4)
  const events = (socket: RawClient) => socket.frames.filter(frame => frame.t === 'event')
  t.same(events(pack), events(json))

  const answers = async (type: string, fields: Fields) => {
    const [a, b] = await Promise.all([json.request(type, fields), pack.request(type, fields)])
    t.same({ ...b, re: '' }, { ...a, re: '' }, type)
  }
  await answers('history', { c: 'tea' })
  await answers('inbox', {})
  await answers('members', { c: 'tea' })
  await answers('search', { q: 'tee' })
  await answers('read', { c: 'tea', seq: 4 })
  await answers('history', { c: 'nowhere' })
  await answers('send', { c: 'tea' })
  await answers('typing', { c: 'tea', on: true })
  t.match(await pack.find(frame => frame.type === 'typing'), { user: 'alice', on: true })

  for (const socket of [json, pack]) await socket.ok('sync', { cursors: { tea: 1 } })
  const synced = (frame: Fields) => frame.t === 'synced'
  t.same(await pack.find(synced), await json.find(synced))
})

t.test('a MessagePack socket accepts only binary frames, a JSON socket both kinds', async t => {
  const pack = await confab.connect('alice', { subprotocol: 'confab.v1.msgpack' })
  pack.send('{"id":"1","t":"ping"}')
  t.match(await pack.find(frame => frame.ok === false), { re: null, error: { code: 'BAD_REQUEST' } })
  const json = await confab.connect('alice')
  json.send(Buffer.from('{"id":"binary","t":"ping"}'))
  t.match(await json.find(frame => frame.re === 'binary'), { ok: true })
})

t.test('ids with a meaning in JavaScript are ordinary ids, in both encodings', async t => {
  const id = '__proto__'
  for (const subprotocol of ['confab.v1.json', 'confab.v1.msgpack'] as const) {
    const socket = await confab.connect('alice', { subprotocol })
    if (subprotocol === 'confab.v1.json') await socket.ok('create', { c: id, kind: 'group', members: [id] })
    await socket.ok('sync', { cursors: JSON.parse(`{"${id}":0,"constructor":1}`) })
    t.match(await socket.find(frame => frame.t === 'synced'), { c: id, seq: 1 }, subprotocol)
    t.match(await socket.find(frame => frame.t === 'refetch'), { c: 'constructor', reason: 'not_member' })
  }
})
