import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import { Packr } from 'msgpackr'
import t from 'tap'
import { eventLines } from '../../src/cli/replay.ts'
import { type AppData, Limits } from '../../src/events/index.ts'
import { arbitraryData, badData, dataOfBytes, nested } from '../events/arbitrary-data.ts'
import { startConfab } from '../harness/confab.ts'
import { GrpcClient } from '../harness/grpc-client.ts'
import { noRates } from '../harness/no-rates.ts'
import type { Fields } from '../harness/raw-client.ts'

const confab = await startConfab(t, { edge: { grpcPort: 0 }, limits: noRates })
const json = await confab.connect('alice')
const msgpack = await confab.connect('alice', { subprotocol: 'confab.v1.msgpack' })
const bob = await confab.connect('bob')
const token = await confab.token('alice')
const grpc = new GrpcClient(confab.edge.grpcPort!, { token })
t.teardown(() => grpc.close())
await grpc.ok('hello')
const packr = new Packr({ useRecords: false, useToJSON: false })

const http = async (path: string, body?: string): Promise<Fields> => {
  const response = await fetch(confab.url + path, {
    method: body === undefined ? 'GET' : 'POST',
    headers: { authorization: `Bearer ${token}` },
    ...(body === undefined ? {} : { body }),
  })
  return (await response.json()) as Fields
}

let ids = 0
/** Ways to send a request with data, as JSON; each returns the answer. */
const ways: Record<string, (t: string, fields: Fields, data: string) => Promise<Fields>> = {
  json: async (t, fields, data) => {
    const id = `x${++ids}`
    json.send(`${JSON.stringify({ id, t, ...fields }).slice(0, -1)},"data":${data}}`)
    return await json.find(frame => frame.re === id)
  },
  msgpack: async (t, fields, data) => {
    const id = `x${++ids}`
    msgpack.send(packr.pack({ id, t, ...fields, data: JSON.parse(data) }))
    return await msgpack.find(frame => frame.re === id)
  },
  http: (t, fields, data) =>
    http('/v1/commands', `${JSON.stringify({ id: 'x', t, ...fields }).slice(0, -1)},"data":${data}}`),
  grpc: (t, fields, data) => grpc.request(t, { ...fields, data }),
}
const names = Object.keys(ways)

const grpcData = (fields: unknown): unknown => {
  const { data } = fields as { data?: string | null }
  return data == null ? undefined : JSON.parse(data)
}

await json.ok('create', { c: 'tea', kind: 'group', members: ['bob'] })

t.test('every transport returns equal data, live and stored', async t => {
  const sent = new Map<number, AppData>()
  await fc.assert(
    fc.asyncProperty(arbitraryData, fc.constantFrom(...names), async (data, way) => {
      const m = `m${++ids}`
      const { seq } = await ways[way]!('send', { c: 'tea', m, text: 'x' }, JSON.stringify(data))
      if (typeof seq !== 'number') return false
      sent.set(seq, data)
      const repeated = await ways.json!('send', { c: 'tea', m, text: 'x' }, JSON.stringify(data))
      return repeated.duplicate === true && repeated.seq === seq
    }),
    {
      numRuns: 150,
      examples: [
        // msgpackr calls a function `toJSON` of objects whose constructor is not Object.
        [{ constructor: 'x', toJSON: 'y' }, 'json'],
        [{ hasOwnProperty: 1, a: { constructor: [], toJSON: {} } }, 'grpc'],
        [nested(Limits.dataDepth), 'json'],
        [nested(Limits.dataDepth - 1, []), 'msgpack'],
        [dataOfBytes(Limits.dataBytes), 'http'],
        [{}, 'json'],
      ],
    },
  )
  const expected = (seq: number) => {
    const data = sent.get(seq)!
    return Object.keys(data).length === 0 ? undefined : data
  }
  const same = (seq: number, data: unknown, where: string) => {
    if (!isDeepStrictEqual(data, expected(seq)))
      t.fail(`${where} ${seq}: ${JSON.stringify(data)} is not ${JSON.stringify(expected(seq))}`)
  }
  const lines = new Map<number, unknown>()
  for await (const batch of confab.log.read({ family: 'conv', id: 'tea' }, 0))
    for (const line of eventLines(batch, {}).toString().trimEnd().split('\n')) {
      const { seq, data } = JSON.parse(line) as { seq: number; data?: unknown }
      lines.set(seq, data)
    }
  for (const seq of sent.keys()) {
    same(seq, (await json.event('tea', seq)).data, 'live JSON')
    same(seq, (await msgpack.event('tea', seq)).data, 'live MessagePack')
    same(seq, grpcData((await grpc.event('tea', seq)).messagePosted), 'live gRPC')
    same(seq, lines.get(seq), 'replay')
    const range = { c: 'tea', after: seq - 1, limit: 1 }
    const [one] = (await json.ok('history', range)).events as Fields[]
    same(seq, one?.data, 'history JSON')
    const [two] = (await msgpack.ok('history', range)).events as Fields[]
    same(seq, two?.data, 'history MessagePack')
    const [three] = (await grpc.ok('history', range)).events as Fields[]
    same(seq, grpcData(three?.messagePosted), 'history gRPC')
    const [four] = (await http(`/v1/conversations/tea/events?after=${seq - 1}&limit=1`)).events as Fields[]
    same(seq, four?.data, 'history HTTP')
  }
  const late = await confab.connect('bob', { resume: { tea: 1 } })
  await late.find(frame => frame.t === 'synced')
  for (const seq of sent.keys()) same(seq, (await late.event('tea', seq)).data, 'resume')
  late.close()
  t.equal(sent.size, 150)
})

t.test('data beyond the bounds is refused, and nothing is stored', async t => {
  await json.ok('send', { c: 'tea', m: 'mine', text: 'x', data: { a: 1 } })
  await json.ok('profile', { data: { name: 'Alice' } })
  const before = await json.ok('conversation', { c: 'tea' })
  const requests: [t: string, fields: Fields][] = [
    ['create', { c: 'new', kind: 'group', members: [] }],
    ['send', { c: 'tea', m: 'new', text: 'x' }],
    ['edit', { c: 'tea', m: 'mine', text: 'y' }],
    ['settings', { c: 'tea', posting: 'staff' }],
    ['profile', {}],
  ]
  for (const [type, fields] of requests)
    for (const way of names)
      for (const [data, field, code = 'BAD_REQUEST'] of badData) {
        // A frame of MessagePack with so many levels, or a string that is not UTF-8, is refused before it is decoded.
        if (way === 'msgpack' && (data.length > 10_000 || data.includes('\\ud'))) continue
        const { error } = await ways[way]!(type, fields, data)
        t.match(error, { code, field }, `${type} ${way} ${data.slice(0, 40)}`)
        t.match((error as Fields).message, /^data/)
      }
  for (const type of ['create', 'send'])
    t.match((await json.request(type, { ...Object.fromEntries(requests)[type], data: null })).error, {
      code: 'BAD_REQUEST',
      field: '/data',
      message: 'data: expected object.',
    })
  t.match((await json.request('edit', { c: 'tea', m: 'mine', text: 'y', data: 5 })).error, {
    field: '/data',
    message: 'data: expected object or null.',
  })
  for (const data of ['', '{', 'undefined', '{}{}'])
    t.match((await grpc.request('profile', { data })).error, { code: 'BAD_REQUEST', field: '/data' }, data)
  for (const data of [
    Buffer.from('{}'),
    { a: Buffer.from('x') },
    { a: Number.NaN },
    { a: Number.POSITIVE_INFINITY },
  ]) {
    const id = `x${++ids}`
    msgpack.send(packr.pack({ id, t: 'send', c: 'tea', m: 'new', text: 'x', data }))
    t.match((await msgpack.find(frame => frame.re === id)).error, { code: 'BAD_REQUEST', field: /^\/data/ })
  }
  for (const [type, fields] of [
    ['delete', { c: 'tea', m: 'mine' }],
    ['direct', { user: 'bob' }],
    ['profiles', { users: ['bob'] }],
  ] as const)
    t.match((await json.request(type, { ...fields, data: { a: 1 } })).error, {
      code: 'BAD_REQUEST',
      message: 'data: unknown field.',
    })
  const after = await json.ok('conversation', { c: 'tea' })
  t.equal(after.head, before.head)
  t.match(await json.ok('profile'), { data: { name: 'Alice' } })
  t.equal(await json.code('conversation', { c: 'new' }), 'NOT_FOUND')
})

t.test('an edit keeps, replaces or removes the data of a message', async t => {
  const { head } = await json.ok('conversation', { c: 'tea' })
  const edits: Fields[] = [{}, { data: { b: [1] } }, { data: null }, { data: {} }]
  for (const [i, edit] of edits.entries()) {
    const { seq } = await json.ok('edit', { c: 'tea', m: 'mine', text: `edit ${i}`, ...edit })
    t.equal(seq, (head as number) + 1 + i)
    const data = 'data' in edit ? (i === 1 ? edit.data : null) : undefined
    for (const socket of [json, msgpack, bob])
      t.strictSame((await socket.event('tea', seq as number)).data, data)
    const { messageEdited } = await grpc.event('tea', seq as number)
    t.equal(
      (messageEdited as Fields).data ?? undefined,
      data === undefined ? undefined : JSON.stringify(data),
    )
  }
  t.match(await grpc.ok('edit', { c: 'tea', m: 'mine', text: 'x', data: 'null' }), { seq: Number })
  t.equal(
    await json.code('edit', { c: 'tea', m: 'mine', data: { a: 1 } }),
    'BAD_REQUEST',
    'the text is required',
  )
})

t.test('a conversation returns its data; settings change it', async t => {
  const data = { topic: { colour: 'green' } }
  await grpc.ok('create', { c: 'cake', kind: 'group', members: ['bob'], data: JSON.stringify(data) })
  t.strictSame((await bob.event('cake', 1)).data, data)
  t.strictSame((await bob.ok('conversation', { c: 'cake' })).data, data)
  t.strictSame(grpcData(await grpc.ok('conversation', { c: 'cake' })), data)
  t.equal(await bob.code('settings', { c: 'cake', data: null }), 'FORBIDDEN')
  t.match(await json.ok('settings', { c: 'cake', slowModeSeconds: 5 }), { seq: 2 })
  t.notOk('data' in (await bob.event('cake', 2)))
  t.strictSame((await bob.ok('conversation', { c: 'cake' })).data, data, 'other settings keep it')
  t.match(
    await json.ok('settings', { c: 'cake', data: { topic: { colour: 'green' } } }),
    { seq: 2 },
    'unchanged',
  )
  t.match(await json.ok('settings', { c: 'cake', data: { a: 1 } }), { seq: 3 })
  t.match(await bob.event('cake', 3), { posting: 'everybody', slowModeSeconds: 5, data: { a: 1 } })
  t.match((await grpc.event('cake', 3)).conversationSettingsChanged, { data: '{"a":1}' })
  t.match(await json.ok('settings', { c: 'cake', data: {} }), { seq: 4 })
  t.strictSame((await bob.event('cake', 4)).data, null)
  t.notOk('data' in (await bob.ok('conversation', { c: 'cake' })))
  t.equal(await confab.connect('eve').then(eve => eve.code('conversation', { c: 'cake' })), 'NOT_FOUND')
})

t.test('a user sets the data of the own profile, which all users read', async t => {
  const carol = await confab.connect('carol')
  const profiles = async (...users: string[]) => (await bob.ok('profiles', { users })).profiles
  t.strictSame(await profiles('carol', 'never'), [{ user: 'carol' }, { user: 'never' }])
  t.notOk('data' in (await carol.ok('profile')))
  const other = await confab.connect('carol', { subprotocol: 'confab.v1.msgpack' })
  t.strictSame((await carol.ok('profile', { data: { name: 'Carol' } })).data, { name: 'Carol' })
  t.strictSame((await other.ok('profile')).data, { name: 'Carol' })
  t.strictSame(await profiles('never', 'carol', 'carol'), [
    { user: 'never' },
    { user: 'carol', data: { name: 'Carol' } },
    { user: 'carol', data: { name: 'Carol' } },
  ])
  t.match(await grpc.ok('profiles', { users: ['carol'] }), {
    profiles: [{ user: 'carol', data: '{"name":"Carol"}' }],
    more: false,
  })
  t.equal(grpcData(await grpc.ok('profile', { data: 'null' })), undefined)
  const events = async () => {
    let count = 0
    for await (const batch of confab.log.read({ family: 'user', id: 'carol' }, 0)) count += batch.length
    return count
  }
  t.equal(await events(), 1)
  await carol.ok('profile', { data: { name: 'Carol' } })
  t.equal(await events(), 1, 'the same data again changes nothing')
  await other.ok('profile', { data: {} })
  t.equal(await events(), 2)
  t.strictSame(await profiles('carol'), [{ user: 'carol' }])
  for (const users of [Array.from({ length: Limits.profiles + 1 }, (_, i) => `u${i}`), ['a b']])
    t.equal(await bob.code('profiles', { users }), 'BAD_REQUEST')
})

t.test('profiles fill a frame at most; a client requests the rest', async t => {
  const users = Array.from({ length: Limits.profiles }, (_, i) => `big${i}`)
  const context = (from: string) => ({ from, at: '2026-11-24T02:30:43.123Z' })
  await Promise.all(
    users.map(user =>
      confab.bus.execute({ id: 'x', t: 'profile', data: dataOfBytes(Limits.dataBytes) }, context(user)),
    ),
  )
  const found: unknown[] = []
  for (let rounds = 0; found.length < users.length; rounds++) {
    const answer = await bob.ok('profiles', { users: users.slice(found.length) })
    const profiles = answer.profiles as Fields[]
    t.ok(profiles.length >= 15 || found.length + profiles.length === users.length)
    t.ok(JSON.stringify(answer).length <= Limits.frameBytes)
    found.push(...profiles.map(({ user }) => user))
    t.equal(answer.more, found.length < users.length)
    if (rounds > 10) throw new Error('too many rounds')
  }
  t.same(found, users)
})

t.test('the largest legal message is delivered, stored and found', async t => {
  const text = `a${'\u0001'.repeat(Limits.textBytes - 1)}`
  const data = dataOfBytes(Limits.dataBytes)
  await json.ok('create', { c: 'large', kind: 'group', members: ['bob'] })
  const { seq } = await msgpack.ok('send', { c: 'large', m: 'm1', text, data })
  await msgpack.ok('send', { c: 'large', m: 'm2', text, data })
  for (const socket of [json, msgpack, bob])
    t.strictSame([(await socket.event('large', 2)).text, (await socket.event('large', 3)).data], [text, data])
  t.strictSame(grpcData((await grpc.event('large', 3)).messagePosted), data)
  for (const socket of [json, msgpack]) {
    const page = await socket.ok('history', { c: 'large', after: 1 })
    t.match(page, { events: [{ seq, text, data }], more: true, head: 3 })
  }
  t.match(await grpc.ok('history', { c: 'large', after: 2 }), { events: [{ seq: 3 }] })
  const late = await confab.connect('bob', { resume: { large: 1 } })
  t.strictSame((await late.event('large', 3)).data, data)
  late.close()
  t.match(await bob.ok('inbox', { seen: { large: 3 }, limit: 1 }), {
    items: [{ c: 'large', lastMessage: { text } }],
  })
  const waiting = await bob.ok('undelivered')
  t.ok((waiting.messages as Fields[]).some(message => message.c === 'large'))
})
