import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { storageStateOf } from '../../src/app/storage-reserve.ts'
import { defaultEdgeLimits, type EdgeLimits, type StorageState } from '../../src/edge/index.ts'
import { Quotas } from '../../src/edge/limits/quotas.ts'
import { type QuotaKind, quotaKinds } from '../../src/edge/ports/quota-limits.ts'
import { openMediaFolder } from '../../src/infra/media-folder/index.ts'
import { openQuotaBucket } from '../../src/infra/nats/index.ts'
import { startConfab, type TestConfab } from '../harness/confab.ts'
import { startNats } from '../harness/nats.ts'
import { tempFolder } from '../harness/temp-folder.ts'
import { described, httpOf, png, putParts, type UploadAnswer, upload } from '../harness/upload.ts'

const dayMs = 86_400_000
const noLogger = { debug() {}, info() {}, warn() {}, error() {} }
const off = Object.fromEntries(quotaKinds.map(kind => [kind, 0])) as Record<QuotaKind, number>

/** One use of each kind; returns the code of the answer. */
const uses: Readonly<Record<QuotaKind, (confab: TestConfab, user: string, n: number) => Promise<string>>> = {
  events: (confab, user, n) => codeOf(confab, user, { t: 'send', c: 'tea', m: `${user}${n}`, text: 'x' }),
  eventBytes: (confab, user, n) =>
    codeOf(confab, user, { t: 'send', c: 'tea', m: `${user}${n}`, text: 'x'.repeat(1_000) }),
  newConversations: (confab, user, n) =>
    n % 2 === 0
      ? codeOf(confab, user, { t: 'create', c: `${user}${n}`, kind: 'group', members: [] })
      : codeOf(confab, user, { t: 'direct', user: `peer${n}` }),
  addedUsers: (confab, user, n) =>
    codeOf(confab, user, { t: 'create', c: `${user}${n}`, kind: 'group', members: [`guest${n}`] }),
  uploads: async (confab, user, n) => {
    const bytes = png(`${user}${n}`)
    const answer = await httpOf(confab, user).request('media', described(bytes))
    if (!answer.ok) return answer.error!.code
    await putParts(confab, answer as unknown as UploadAnswer, bytes)
    const { status } = await httpOf(confab, user).complete(answer.mediaId as string)
    return status === 200 ? 'ok' : String(status)
  },
  openUploads: (confab, user, n) => codeOf(confab, user, { t: 'media', ...described(png(`${user}${n}`)) }),
  uploadBytes: (confab, user, n) =>
    codeOf(confab, user, { t: 'media', ...described(png(`${user}${n}`.padEnd(1_000))) }),
}

/** A quota of each kind that three to six uses fill. */
const quotas: Readonly<Record<QuotaKind, number>> = {
  events: 5,
  eventBytes: 5_000,
  newConversations: 4,
  addedUsers: 5,
  uploads: 3,
  openUploads: 3,
  uploadBytes: 4_000,
}

const codeOf = async (confab: TestConfab, user: string, fields: Record<string, unknown>): Promise<string> => {
  const { t, ...rest } = fields
  const answer = await httpOf(confab, user).request(t as string, rest)
  return answer.ok ? 'ok' : answer.error!.code
}

t.test('a user who uses up a quota is refused until the next day, and others are served', async t => {
  for (const kind of quotaKinds)
    t.test(kind, async t => {
      const confab = await startConfab(t, { limits: { ...off, [kind]: quotas[kind] } })
      const members = ['mallory', 'bob']
      await confab.bus.execute(
        { id: '1', t: 'create', c: 'tea', kind: 'group', members },
        { from: 'alice', at: new Date().toISOString() },
      )
      const codes: string[] = []
      for (let n = 0; n < 10; n++) codes.push(await uses[kind](confab, 'mallory', n))
      const accepted = codes.indexOf('QUOTA_EXCEEDED')
      t.ok(accepted >= 3 && accepted <= 6, `${accepted} accepted`)
      t.ok(codes.slice(accepted).every(code => code === 'QUOTA_EXCEEDED'))
      t.equal(await uses[kind](confab, 'bob', 0), 'ok')
      t.match(await confab.metrics(), /confab_edge_limited_total\{limit="quota"\} [1-9]/)
    })
})

t.test('refused commands, and uploads that end, do not use up a quota', async t => {
  const confab = await startConfab(t, { limits: { ...off, events: 5, openUploads: 2 } })
  const at = new Date().toISOString()
  await confab.bus.execute(
    { id: '1', t: 'create', c: 'tea', kind: 'group', members: ['bob'] },
    { from: 'alice', at },
  )
  for (let n = 0; n < 20; n++)
    t.equal(await codeOf(confab, 'bob', { t: 'send', c: 'other', m: `x${n}`, text: 'x' }), 'NOT_FOUND')
  for (let n = 0; n < 5; n++)
    t.equal(await codeOf(confab, 'bob', { t: 'send', c: 'tea', m: `b${n}`, text: 'x' }), 'ok')
  t.equal(await codeOf(confab, 'bob', { t: 'send', c: 'tea', m: 'b9', text: 'x' }), 'QUOTA_EXCEEDED')
  const sent = await httpOf(confab, 'bob').request('send', { c: 'tea', m: 'b9', text: 'x' })
  const { retryAfterMs } = sent.error as unknown as { retryAfterMs: number }
  t.ok(retryAfterMs > 0 && retryAfterMs <= dayMs)
  for (let n = 0; n < 5; n++) await upload(confab, 'alice', png(`tea ${n}`))
  t.pass('each upload ended before the next one')
  for (let n = 0; n < 5; n++) {
    const wrong = { ...described(png(`wrong ${n}`)), sha256: '0'.repeat(64) }
    const answer = (await httpOf(confab, 'alice').request('media', wrong)) as unknown as UploadAnswer
    await putParts(confab, answer, png(`wrong ${n}`))
    t.match(await httpOf(confab, 'alice').complete(answer.mediaId), { status: 422 })
  }
})

t.test('users whose logs were read stay counted when the request is refused', async t => {
  const confab = await startConfab(t, { limits: { ...off, addedUsers: 10, newConversations: 2 } })
  t.equal(await codeOf(confab, 'nina', { t: 'privacy', invitations: 'nobody' }), 'ok')
  const create = (c: string) =>
    codeOf(confab, 'mallory', { t: 'create', c, kind: 'group', members: ['u1', 'u2', 'u3', 'nina'] })
  t.same(await Promise.all([create('c1'), create('c2')]), ['FORBIDDEN', 'FORBIDDEN'])
  t.equal(await create('c3'), 'QUOTA_EXCEEDED')
  const taken = (members: string[]) =>
    codeOf(confab, 'bob', { t: 'create', c: 'taken', kind: 'group', members })
  t.equal(await taken([]), 'ok')
  for (let n = 0; n < 2; n++)
    t.equal(await taken(['u1', 'u2', 'u3', 'u4', `u${5 + n}`]), 'ALREADY_EXISTS', 'no new conversation')
  t.equal(await taken(['u1']), 'QUOTA_EXCEEDED')
})

/** Quotas of a node. They exchange when the test says so. */
const nodeOf = (store: Parameters<typeof openQuotaBucketOf>[0], limits: Partial<EdgeLimits>) => {
  const node = new Quotas(
    { store, onRefused: () => {}, logger: noLogger },
    { ...defaultEdgeLimits, ...off, ...limits },
  )
  return {
    quotas: node,
    /** Takes until it is refused, at most `most` times; returns how often it was not. */
    fill: (user: string, most: number): number => {
      for (let n = 0; n < most; n++)
        try {
          node.takeCommand(user, 1, 0, 0)
        } catch {
          return n
        }
      return most
    },
  }
}
const openQuotaBucketOf = (store: Awaited<ReturnType<typeof openQuotaBucket>>) => store

t.test('a quota survives a restart, and holds over several nodes', async t => {
  const nats = await startNats(t)
  const store = await openQuotaBucket(await nats.connect())
  const events = 1_000
  const nodes = [0, 1, 2].map(() => nodeOf(store, { events }))
  let taken = 0
  for (let round = 0; round < 200; round++) {
    taken += nodes[round % 3]!.fill('mallory', 10)
    for (const { quotas } of nodes) await quotas.exchange()
  }
  t.ok(taken >= events && taken <= events * 1.05, `${taken} of ${events}`)
  t.equal(nodes[0]!.fill('bob', 1), 1)
  await Promise.all(nodes.map(({ quotas }) => quotas.stop()))

  const restarted = nodeOf(store, { events })
  restarted.fill('mallory', 1)
  await restarted.quotas.exchange()
  t.equal(restarted.fill('mallory', 10), 0)
  await restarted.quotas.stop()
})

t.test('counts of users that share a key, on nodes that write at the same time, are all kept', async t => {
  const nats = await startNats(t)
  const stores = await Promise.all([1, 2, 3].map(async () => openQuotaBucket(await nats.connect())))
  const users = ['alice', 'bob', 'carol']
  const counts = new Map(users.map(user => [user, [1, 2, 0, 0, 0, 3]] as const))
  await Promise.all(stores.flatMap(store => Array.from({ length: 5 }, () => store.add(20_000, counts))))
  const none = new Map(users.map(user => [user, [0, 0, 0, 0, 0, 0]] as const))
  const totals = await stores[0]!.add(20_000, none)
  for (const user of users) t.same(totals.get(user), [15, 30, 0, 0, 0, 45])
  t.same((await stores[1]!.add(20_001, none)).get('bob'), [0, 0, 0, 0, 0, 0], 'a new day begins at zero')
  await stores[1]!.add(20_001, counts)
  t.equal((await stores[2]!.add(20_000, counts)).get('bob'), undefined, 'an old day is over')
})

t.test('while the store cannot be reached a node counts for itself, and writes later', async t => {
  let isDown = true
  const written = new Map<string, readonly number[]>()
  const store = {
    add: async (_: number, counts: ReadonlyMap<string, readonly number[]>) => {
      if (isDown) throw new Error('down')
      for (const [user, added] of counts) written.set(user, added)
      return counts
    },
  }
  const node = nodeOf(store, { events: 10 })
  t.equal(node.fill('mallory', 20), 10)
  await node.quotas.exchange()
  t.equal(node.fill('mallory', 20), 0)
  isDown = false
  await node.quotas.stop()
  t.equal(written.get('mallory')?.[0], 10)
  t.equal(node.fill('mallory', 20), 0)
})

t.test(
  'the storage keeps a reserve: uploads are refused first, then new conversations, messages never',
  async t => {
    let state: StorageState = 'free'
    const confab = await startConfab(t, { edge: { storage: () => state } })
    const code = (fields: Record<string, unknown>) => codeOf(confab, 'alice', fields)
    t.equal(await code({ t: 'create', c: 'tea', kind: 'group', members: [] }), 'ok')
    const bytes = png('x')
    const begun = (await httpOf(confab, 'alice').request(
      'media',
      described(bytes),
    )) as unknown as UploadAnswer
    state = 'low'
    t.equal(await code({ t: 'media', ...described(png('y')) }), 'OVERLOADED')
    t.same(await putParts(confab, begun, bytes), [503], 'nor a part of an upload that was announced before')
    t.equal(await code({ t: 'create', c: 'milk', kind: 'group', members: [] }), 'ok')
    state = 'short'
    t.equal(await code({ t: 'create', c: 'more', kind: 'group', members: [] }), 'OVERLOADED')
    t.equal(await code({ t: 'direct', user: 'bob' }), 'OVERLOADED')
    t.equal(await code({ t: 'send', c: 'tea', m: 'm1', text: 'x' }), 'ok')
    state = 'free'
    t.same(await putParts(confab, begun, bytes), [200])
  },
)

t.test('the reserve is at most a tenth of a storage, and half of it is for messages', async () => {
  const order = ['short', 'low', 'free']
  const bytes = fc.nat(1e9)
  fc.assert(
    fc.property(bytes, bytes, bytes, fc.integer({ min: 1, max: 1e9 }), (used, free, more, reserve) => {
      const size = used + free + more
      const state = storageStateOf({ free, size }, reserve)
      const withMore = storageStateOf({ free: free + more, size }, reserve)
      if (order.indexOf(withMore) < order.indexOf(state)) return false
      if (state === 'free') return free * 10 >= size || free >= reserve
      return (
        free * 10 < size && free < reserve && (state === 'low' || (free * 20 < size && free < reserve / 2))
      )
    }),
  )
})

const bytesOf = (folder: string): number =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter(entry => entry.isFile())
    .reduce((sum, entry) => sum + statSync(join(entry.parentPath, entry.name)).size, 0)

t.test('a part URL takes one part at a time, and no more bytes than were announced', async (t: Test) => {
  const folder = join(tempFolder(t), 'media')
  const confab = await startConfab(t, { mediaStore: await openMediaFolder(folder) })
  const bytes = png('x'.repeat(4 * 1024 * 1024))
  const announced = (await httpOf(confab, 'alice').request(
    'media',
    described(bytes),
  )) as unknown as UploadAnswer
  const url = new URL(announced.parts[0]!.url, confab.url)
  const feeds: ReadableStreamDefaultController<Uint8Array>[] = []
  const put = (): Promise<number> => {
    const body = new ReadableStream<Uint8Array>({
      start: controller => {
        controller.enqueue(new Uint8Array(bytes.subarray(0, 1024 * 1024)))
        feeds.push(controller)
      },
    })
    const headers = { 'content-length': String(bytes.length) }
    const init = { method: 'PUT', body, duplex: 'half', headers } as RequestInit
    return fetch(url, init).then(
      ({ status }) => status,
      () => 0,
    )
  }
  const first = put()
  while (bytesOf(folder) < 100_000) await sleep(10)
  const others = await Promise.all(
    Array.from({ length: 20 }, () =>
      fetch(url, { method: 'PUT', body: new Uint8Array(bytes) }).then(
        ({ status }) => status,
        () => 0,
      ),
    ),
  )
  t.notOk(others.includes(200), String(others))
  t.ok(bytesOf(folder) < 2 * bytes.length)
  feeds[0]!.enqueue(new Uint8Array(bytes.subarray(1024 * 1024)))
  feeds[0]!.close()
  t.equal(await first, 200)
  t.same(await putParts(confab, announced, bytes), [200], 'a part may be replaced afterwards')
  const after = bytesOf(folder)
  t.ok(after < 2 * bytes.length, `${after} bytes`)
})
