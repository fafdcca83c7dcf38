import { connect as connectTcp, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { startConfab } from '../harness/confab.ts'

const confab = await startConfab(t, { limits: { helloMs: 500 } })
const alice = await confab.connect('alice')
const bob = await confab.connect('bob')
await alice.ok('create', { c: 'tea', kind: 'group', members: ['bob'] })
const mallory = () => confab.connect('mallory', { patienceMs: 30_000 })
let messages = 0

/**
 * While the bad input is sent, alice talks to bob; afterwards bob has every message in order, and the sockets are
 * closed.
 */
const bearing = async (t: Test, bad: () => Promise<unknown>) => {
  const before = confab.edge.connections()
  const from = ((await alice.ok('history', { c: 'tea', limit: 1 })).head as number) + 1
  let isOver = false
  let acked = from - 1
  const talk = (async () => {
    do {
      const { seq } = await alice.ok('send', { c: 'tea', m: `m${messages++}`, text: 'hello' })
      t.equal(seq, ++acked)
      await sleep(2)
    } while (!isOver)
  })()
  try {
    await bad()
  } finally {
    isOver = true
    await talk
  }
  await bob.event('tea', acked)
  t.same(
    bob.seqs('tea').filter(seq => seq >= from),
    Array.from({ length: acked - from + 1 }, (_, n) => from + n),
  )
  while (confab.edge.connections() > before) await sleep(10)
  t.equal(confab.edge.connections(), before)
  t.equal(confab.edge.bufferedBytes(), 0)
}

const upgrade =
  'GET /v1/ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n'

const tcp = (halfOpen = false): Promise<Socket> =>
  new Promise((resolve, reject) => {
    const socket = connectTcp({ port: confab.edge.port, host: '127.0.0.1', allowHalfOpen: halfOpen }, () =>
      resolve(socket),
    )
    socket.on('error', reject)
    t.teardown(() => socket.destroy())
  })

const upgraded = async (halfOpen = false): Promise<Socket> => {
  const socket = await tcp(halfOpen)
  socket.write(upgrade)
  await new Promise(resolve => socket.once('data', resolve))
  socket.resume()
  return socket
}

const closed = (socket: Socket) => new Promise(resolve => socket.once('close', resolve))

t.test('frames with a false length', t =>
  bearing(t, async () => {
    const length64 = (bytes: bigint) => {
      const header = Buffer.alloc(14)
      header[0] = 0x81
      header[1] = 0x80 | 127
      header.writeBigUInt64BE(bytes, 2)
      return header
    }
    const lies = [
      // Far more than is ever read: refused by the header.
      length64(2n ** 63n - 1n),
      length64(2n ** 64n - 1n),
      length64(2n ** 40n),
      // A control frame over 125 bytes, RFC 6455, 5.5.
      Buffer.from([0x89, 0x80 | 126, 0xff, 0xff, 0, 0, 0, 0]),
      // Unmasked, reserved bits, a reserved opcode, a continuation without a start.
      Buffer.from([0x81, 0x02, 0x7b, 0x7d]),
      Buffer.from([0xf1, 0x80, 0, 0, 0, 0]),
      Buffer.from([0x83, 0x80, 0, 0, 0, 0]),
      Buffer.from([0x80, 0x80, 0, 0, 0, 0]),
    ]
    await Promise.all(
      lies.map(async lie => {
        const socket = await upgraded()
        const end = closed(socket)
        socket.write(lie)
        await end
      }),
    )
    // More than is sent: the server waits no longer than the hello timeout.
    const promised = await Promise.all(Array.from({ length: 20 }, () => upgraded()))
    const ends = promised.map(closed)
    for (const socket of promised)
      socket.write(Buffer.concat([length64(1_000_000n), Buffer.from('{"id":"1"')]))
    await Promise.all(ends)
    // Fewer: the rest is read as the next frame, and is invalid.
    const short = await upgraded()
    const end = closed(short)
    short.write(
      Buffer.concat([Buffer.from([0x81, 0x80 | 2, 0, 0, 0, 0]), Buffer.from('{"id":"1","t":"ping"}')]),
    )
    await end
  }),
)

/** Sockets that send nothing. The transport drops them in its own time; the last test checks it. */
const silent: Socket[] = []

t.test('a hundred connections per second that send nothing, or upgrade and send nothing', t =>
  bearing(t, async () => {
    const greetless: Socket[] = []
    for (let n = 0; n < 200; n++) {
      if (n % 2 === 0) silent.push(await tcp())
      else greetless.push(await upgraded())
      if (n % 10 === 9) await sleep(50)
    }
    await Promise.all(greetless.map(socket => socket.closed || closed(socket)))
  }),
)

t.test('endless pings, of the transport and of the protocol', t =>
  bearing(t, async () => {
    const socket = await confab.connectSlow('mallory')
    const ping = Buffer.concat([Buffer.from([0x89, 0x80 | 125, 0, 0, 0, 0]), Buffer.alloc(125)])
    // Without reading, so that pongs fill the buffers.
    socket.stopReading()
    const burst = Buffer.concat(Array.from({ length: 1_000 }, () => ping))
    let most = 0
    for (let n = 0; n < 200; n++) {
      socket.write(burst)
      await sleep(2)
      most = Math.max(most, confab.edge.bufferedBytes())
    }
    t.ok(most <= 5 * 1024 * 1024, `${most} bytes waited`)
    socket.close()
    const other = await mallory()
    const answers = await Promise.all(Array.from({ length: 6_000 }, () => other.request('ping')))
    const refused = answers.filter(answer => answer.ok === false)
    t.ok(refused.length > 0, `${refused.length} refused`)
    t.ok(refused.every(({ error }) => (error as { code: string }).code === 'RATE_LIMITED'))
    other.close()
  }),
)

t.test('a million unknown conversations', t =>
  bearing(t, async () => {
    const socket = await mallory()
    const codes = new Map<string, number>()
    const ask = async (n: number) => {
      const cursors = Array.from({ length: 1_000 }, (_, k) => `"none${n * 1_000 + k}":0`)
      socket.send(`{"id":"${n}","t":"sync","cursors":{${cursors.join()}}}`)
      const { error } = await socket.find(frame => frame.re === String(n))
      const code = (error as { code: string } | undefined)?.code ?? 'ok'
      codes.set(code, (codes.get(code) ?? 0) + 1)
    }
    // In portions: the thread that writes them serves others too.
    for (let n = 0; n < 1_000; n += 20) await Promise.all(Array.from({ length: 20 }, (_, k) => ask(n + k)))
    const taken = codes.get('ok') ?? 0
    t.comment(`taken: ${taken} of 1,000 requests`)
    t.ok(taken > 0 && taken < 1_000, 'not all of them are taken at once')
    for (const code of codes.keys()) t.match(code, /^(ok|OVERLOADED|RATE_LIMITED)$/)
    await socket.find(frame => frame.t === 'refetch')
    socket.close()
  }),
)

t.test('presence of ten thousand users at once', t =>
  bearing(t, async () => {
    const socket = await mallory()
    const users = Array.from({ length: 10_000 }, (_, n) => `user${n}`)
    t.equal(await socket.code('presence', { users }), 'TOO_LARGE')
    t.equal(await socket.code('presence', { users: users.slice(0, 1_000) }), 'BAD_REQUEST')
    const asked = await Promise.all(
      Array.from({ length: 50 }, (_, n) =>
        socket.request('presence', { users: users.slice(n * 200, n * 200 + 200) }),
      ),
    )
    for (const answer of asked) t.equal(answer.ok, true)
    const { states } = asked[49] as unknown as { states: Record<string, string> }
    t.equal(Object.keys(states).length, 200)
    socket.close()
  }),
)

t.test('half-closed sockets', t =>
  bearing(t, async () => {
    const halves = await Promise.all(Array.from({ length: 50 }, () => upgraded(true)))
    const ends = halves.map(closed)
    for (const socket of halves) {
      socket.on('end', () => socket.end())
      socket.end()
    }
    await Promise.all(ends)
  }),
)

t.test('silent connections are dropped', async t => {
  await Promise.all(silent.map(socket => socket.closed || closed(socket)))
  t.equal(silent.length, 100)
  await alice.ok('ping')
})
