import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join, resolve } from 'node:path'
import t, { type Test } from 'tap'
import { spawnConfab, untilReady } from '../harness/confab-process.ts'
import { runConfab } from '../harness/replay.ts'
import { tempFolder } from '../harness/temp-folder.ts'

const root = resolve(import.meta.dirname, '../..')

const linesOf = (stdout: string): Record<string, unknown>[] =>
  stdout
    .split('\n')
    .filter(line => line !== '')
    .map(line => JSON.parse(line) as Record<string, unknown>)

t.test('token, send and tail work with a running server', async t => {
  const data = join(tempFolder(t), 'data')
  const confab = await untilReady(await spawnConfab({ data }))
  t.teardown(() => confab.stop())
  const run = (...args: string[]) => runConfab([...args, '--data', data])

  const token = (await run('token', '--user', 'dora')).stdout.trim()
  t.match(token, /^[\w-]+\.[\w-]+\.[\w-]+$/)
  const inbox = await fetch(`${confab.url}/v1/inbox`, { headers: { authorization: `Bearer ${token}` } })
  t.equal(inbox.status, 200, 'the server on the data folder accepts the token')
  const expired = (await run('token', '--user', 'dora', '--expires', '1')).stdout.trim()
  t.not(expired, token)
  t.match((await run('token', '--user', '')).stderr, /error BAD_OPTION: --user/)

  const mail = await run('token', '--user', 'dora@example.com')
  const ofMail = await fetch(`${confab.url}/v1/inbox`, {
    headers: { authorization: `Bearer ${mail.stdout.trim()}` },
  })
  t.equal(ofMail.status, 200, 'a user whose name in tokens is a mail address')
  const byMail = await run('send', 'lounge', 'hello', '--user', 'dora@example.com')
  t.match(
    byMail,
    { code: 1, stderr: /error (NOT_FOUND|NOT_MEMBER)/ },
    'the server knows the user, who is no member',
  )

  const tail = spawn(
    process.execPath,
    [
      'src/cli/main.ts',
      'tail',
      '--user',
      'carol',
      '--conversation',
      'lounge',
      '--format',
      'ndjson',
      '--data',
      data,
    ],
    { cwd: root, stdio: ['ignore', 'pipe', 'inherit'] },
  )
  const tailed = once(tail.stdout, 'data')
  // tail prints events only: send messages until the first one arrives.
  let sent = await run('send', 'lounge', 'hello', 'there', '--user', 'alice', '--id', 'm-0')
  let isHeard = false
  void tailed.then(() => {
    isHeard = true
  })
  for (let i = 1; !isHeard; i++)
    sent = await run('send', 'lounge', `hello ${i}`, '--user', 'alice', '--id', `m-${i}`)
  t.equal(sent.code, 0, sent.stderr)
  const [heard] = (await tailed) as [Buffer]
  t.match(linesOf(heard.toString())[0], { t: 'event', c: 'lounge', type: 'message.posted', from: 'alice' })
  const exit = once(tail, 'exit')
  tail.kill('SIGINT')
  t.same(await exit, [0, null], 'Ctrl-C ends it')

  const repeated = await run('send', 'lounge', 'hello', 'there', '--user', 'alice', '--id', 'm-0')
  t.match(linesOf(repeated.stdout)[0], { c: 'lounge', m: 'm-0', duplicate: true })
  const joined = await run('send', 'new-channel', 'first', '--user', 'dora', '--join')
  t.match(linesOf(joined.stdout)[0], { c: 'new-channel', seq: 2, duplicate: false })
  const reply = await run(
    'send',
    'new-channel',
    'second',
    '--user',
    'erin',
    '--join',
    '--reply-to',
    String(linesOf(joined.stdout)[0]!.m),
  )
  t.equal(reply.code, 0, reply.stderr)

  const stranger = await run('send', 'weekend-hike', 'hello', '--user', 'dora')
  t.equal(stranger.code, 1)
  t.match(stranger.stderr, /^error NOT_FOUND: /m)
  t.notMatch(stranger.stderr, /\n {4}at /)
  const nobody = await runConfab([
    'send',
    'lounge',
    'hello',
    '--user',
    'alice',
    '--url',
    'http://127.0.0.1:1',
  ])
  t.equal(nobody.code, 1)
  t.match(nobody.stderr, /error NO_SERVER: no server answers at http:\/\/127\.0\.0\.1:1/)
  const missing = join(data, 'nowhere')
  const lost = await runConfab(['send', 'lounge', 'hello', '--user', 'alice', '--data', missing])
  t.equal(lost.code, 1)
  t.match(lost.stderr, /error NO_SERVER: the folder \S+nowhere does not exist: name the data folder/)
  const unserved = await runConfab([
    'send',
    'lounge',
    'hello',
    '--user',
    'alice',
    '--data',
    join(data, 'nats'),
  ])
  t.match(unserved.stderr, /error NO_SERVER: no edge server runs on \S+nats: start "confab serve"/)
  const nameless = await run('send', 'lounge', 'hello', '--user', '')
  t.match(nameless.stderr, /error BAD_OPTION: --user: "" names no user: give a user id \(1 to 64 of A-Z/m)
  const other = createServer((_, response) => response.end('<!doctype html>')).listen(0, '127.0.0.1')
  t.teardown(() => other.close())
  await once(other, 'listening')
  const url = `http://127.0.0.1:${(other.address() as AddressInfo).port}`
  const elsewhere = await runConfab(['send', 'lounge', 'hello', '--user', 'alice', '--url', url])
  t.match(elsewhere.stderr, /error NO_SERVER: the server at \S+ is not confab: name another with --url$/m)
  t.match(
    (await run('--verbose', 'send', 'weekend-hike', 'hello', '--user', 'dora')).stderr,
    /\n {4}at /,
    '--verbose shows where',
  )
})

t.test('tail reports a server without WebSocket, and exits at the first Ctrl-C', async t => {
  const server = createServer((_request, response) => response.writeHead(404).end()).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const tail = spawn(
    process.execPath,
    ['src/cli/main.ts', 'tail', '--user', 'alice', '--token', 'x', '--url', url],
    {
      cwd: root,
      stdio: ['ignore', 'ignore', 'pipe'],
    },
  )
  const exit = once(tail, 'exit')
  let told = ''
  for await (const chunk of tail.stderr.setEncoding('utf8')) {
    if (told === '') tail.kill('SIGINT')
    told += chunk
  }
  t.equal(
    told,
    `no connection to ${url} yet, retrying\nerror INTERRUPTED: no connection to ${url}: check that the server is running\n`,
  )
  t.same(await exit, [130, null])
})

t.test('tail notes a missing conversation, and waits for it', async t => {
  const data = join(tempFolder(t), 'data')
  const confab = await untilReady(await spawnConfab({ data }))
  t.teardown(() => confab.stop())
  const tail = (c: string) => {
    const child = spawn(
      process.execPath,
      [
        'src/cli/main.ts',
        'tail',
        '--user',
        'carol',
        '--conversation',
        c,
        '--format',
        'ndjson',
        '--data',
        data,
      ],
      { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] },
    )
    t.teardown(() => child.kill('SIGKILL'))
    return { told: once(child.stderr, 'data'), heard: once(child.stdout, 'data') }
  }
  const create = (c: string, members: readonly string[]) =>
    confab.token('alice').then(token =>
      fetch(`${confab.url}/v1/commands`, {
        method: 'POST',
        headers: { authorization: `Bearer ${token}` },
        body: JSON.stringify({ id: '1', t: 'create', c, kind: 'channel', members }),
      }),
    )
  const later = tail('later')
  t.match(
    String(await later.told),
    /^conversation later does not exist yet, or carol is not a member: waiting/,
  )
  t.equal((await create('later', ['carol'])).status, 200)
  t.match(linesOf(String(await later.heard))[0], { c: 'later', type: 'conversation.created' })
  t.equal((await create('others', [])).status, 200)
  t.match(String(await tail('others').told), /^carol is not a member of others yet: waiting/)
  const wrong = await runConfab(['tail', '--user', 'carol', '--conversation', 'a b', '--data', data])
  t.match(
    wrong.stderr,
    /^error BAD_OPTION: --conversation: "a b" is not a valid conversation id \(1 to 64 of A-Z a-z 0-9 _ -\)$/m,
  )
})

t.test('replay works next to a running server and without one', async t => {
  const data = join(tempFolder(t), 'data')
  const file = join(tempFolder(t), 'file.ndjson')
  const at = (day: number) => `2020-01-0${day}T12:00:00.000Z`
  const message = (c: string, day: number) =>
    JSON.stringify({ c, m: `m-${day}`, from: 'ann', at: at(day), text: `day ${day}` })
  writeFileSync(file, [message('a', 1), message('b', 2), message('a', 3), message('a', 4)].join('\n'))
  const confab = await untilReady(await spawnConfab({ data }))
  t.teardown(() => confab.stop())
  t.equal((await runConfab(['import', 'ndjson', file, '--data', data])).code, 0)
  await fetch(`${confab.url}/v1/commands`, {
    method: 'POST',
    headers: { authorization: `Bearer ${await confab.token('ann')}`, 'content-type': 'application/json' },
    body: JSON.stringify({ id: '1', t: 'mute', c: 'a', on: true }),
  })
  const replay = async (...args: string[]) => {
    const { code, stdout, stderr } = await runConfab(['replay', ...args, '--data', data])
    t.equal(code, 0, stderr)
    return linesOf(stdout)
  }
  const check = async (t: Test): Promise<void> => {
    const all = await replay('--users')
    const mine = all.filter(({ c, u }) => c === 'a' || c === 'b' || u === 'ann')
    const places = mine.map(
      ({ c, u, seq, type }) => `${c === undefined || u !== undefined ? `user ${u}` : c} ${seq} ${type}`,
    )
    t.same(
      places.filter(place => !place.startsWith('b')),
      [
        'a 1 conversation.created',
        'a 2 message.posted',
        'a 3 message.posted',
        'a 4 message.posted',
        'user ann 1 conversation.muted',
      ],
    )
    t.same(
      places.filter(place => place.startsWith('b')),
      ['b 1 conversation.created', 'b 2 message.posted'],
    )
    for (const { stream, streamSeq } of all)
      t.ok(/^(CONV|USER)_0$/.test(String(stream)) && Number(streamSeq) > 0)
    t.same(
      (await replay('--conversation', 'a')).map(({ seq }) => seq),
      [1, 2, 3, 4],
    )
    t.ok(
      (await replay()).every(({ t, c }) => t === 'event' && c !== undefined),
      'conversation events only by default',
    )
    const none = await runConfab(['replay', '--conversation', 'none', '--data', data])
    t.equal(none.code, 1)
    t.equal(none.stdout, '')
    t.match(none.stderr, /^error NO_SUCH_CONVERSATION: the log has no conversation none: check the id$/m)
    t.same(
      await replay('--conversation', 'a', '--type', 'message.deleted'),
      [],
      'the conversation exists, no event matches',
    )
    t.same(
      (await replay('--conversation', 'a', '--type', 'message.posted')).map(({ m }) => m),
      ['m-1', 'm-3', 'm-4'],
    )
    const types = new Set(
      (
        await replay('--users', '--type', 'message.posted,conversation.muted', '--type', 'reaction.added')
      ).map(({ type }) => type),
    )
    t.same([...types].sort(), ['conversation.muted', 'message.posted', 'reaction.added'])
    t.same(
      (await replay('--until', '2020-01-03T12:00:00Z', '--type', 'message.posted')).map(({ m }) => m),
      ['m-1', 'm-2'],
      '--until excludes its time',
    )
    t.same(
      (await replay('--since', at(3), '--until', '2020-02-01', '--format', 'ndjson')).map(({ m }) => m),
      ['m-3', 'm-4'],
      '--since includes its time',
    )
  }
  await t.test('next to a server', check)
  t.equal(await confab.stop(), 0)
  await t.test('without a server', check)
  const bad = await runConfab(['replay', '--since', 'once', '--data', data])
  t.not(bad.code, 0)
  t.match(bad.stderr, /a time such as/)
  const unknown = await runConfab(['replay', '--type', 'message.posted,foo', '--data', data])
  t.equal(unknown.code, 2)
  t.match(
    unknown.stderr,
    /error BAD_OPTION: --type: "foo" is not a type of event: use one of .*message\.posted/,
  )
})

t.test('replay exits quietly when the reader closes the pipe', async t => {
  const data = join(tempFolder(t), 'data')
  const file = join(tempFolder(t), 'file.ndjson')
  const text = 'x'.repeat(500)
  writeFileSync(
    file,
    Array.from({ length: 2_000 }, (_, i) =>
      JSON.stringify({ c: 'a', m: `m-${i}`, from: 'ann', at: '2020-01-01T00:00:00Z', text }),
    ).join('\n'),
  )
  t.equal((await runConfab(['import', 'ndjson', file, '--data', data])).code, 0)
  const replay = spawn(process.execPath, ['src/cli/main.ts', 'replay', '--data', data], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let stderr = ''
  replay.stderr.on('data', chunk => {
    stderr += chunk
  })
  const exit = once(replay, 'exit')
  await once(replay.stdout, 'data')
  replay.stdout.destroy()
  t.same(await exit, [0, null])
  t.equal(stderr, '')
})
