import { join } from 'node:path'
import { jetstreamManager, type StreamConfig } from '@nats-io/jetstream'
import t, { type Test } from 'tap'
import { type ConfabProcess, spawnConfab, untilReady } from '../harness/confab-process.ts'
import { type Damage, damages } from '../harness/damage.ts'
import { startNats, type TestNats } from '../harness/nats.ts'
import { runConfab } from '../harness/replay.ts'
import { tempFolder } from '../harness/temp-folder.ts'
import { untilLevel } from '../harness/until-level.ts'

const secret = 'a secret that only tests know, 32 bytes'

interface System {
  readonly nats: TestNats
  readonly data: string
  readonly flags: readonly string[]
  readonly env: Record<string, string>
  start(): Promise<ConfabProcess>
}

const ask = async (confab: ConfabProcess, user: string, request: object) => {
  const response = await fetch(`${confab.url}/v1/commands`, {
    method: 'POST',
    headers: { authorization: `Bearer ${await confab.token(user)}` },
    body: JSON.stringify({ id: '1', ...request }),
  })
  return (await response.json()) as { ok: boolean; error?: { code: string } }
}

/** A system with conversations of 21 events each, all of them in the views. The server is stopped. */
const begin = async (t: Test, conversations: readonly string[] = ['r']): Promise<System> => {
  const nats = await startNats(t)
  const data = join(tempFolder(t), 'data')
  const start = async () => {
    const confab = await untilReady(await spawnConfab({ data, nats: nats.url, secret }))
    t.teardown(() => confab.stop())
    return confab
  }
  const confab = await start()
  for (const c of conversations) {
    await ask(confab, 'alice', { t: 'create', c, kind: 'group', members: ['bob'] })
    for (let n = 0; n < 20; n++)
      t.match(await ask(confab, 'alice', { t: 'send', c, m: `m${n}`, text: 'hello' }), { ok: true })
  }
  await untilLevel(confab)
  t.equal(await confab.stop(), 0)
  return { nats, data, flags: ['--nats', nats.url, '--data', data], env: {}, start }
}

const doctor = async ({ flags }: System, ...more: string[]) => {
  const { code, stdout } = await runConfab(['doctor', '--json', '--port', '0', ...flags, ...more])
  const findings = JSON.parse(stdout) as { what: string; state: string; detail: string; advice?: string }[]
  return {
    code,
    findings,
    of: (what: string) => findings.find(one => one.what === what),
    // No server runs, so no process builds the views.
    damage: findings.filter(({ what, state }) => state === 'ill' && what !== 'projections'),
  }
}

t.test('a limit that was set and removed again: everything reports what is gone', async t => {
  const system = await begin(t)
  const whole = await doctor(system)
  t.same(whole.damage, [])
  t.match(whole.of('events of CONV_0'), {
    state: 'well',
    detail: 'none is missing, 1 of 1 conversation checked',
  })
  t.match(whole.of('events of USER_0'), { state: 'well' })
  t.equal((await runConfab(['replay', ...system.flags])).code, 0)

  const nats = await system.nats.connect()
  const manager = await jetstreamManager(nats.connection, { checkAPI: false })
  const { config } = await manager.streams.info('CONV_0')
  await manager.streams.update('CONV_0', { ...config, max_msgs_per_subject: 5 } as StreamConfig)
  const drifted = await runConfab(['streams', 'status', ...system.flags])
  t.equal(drifted.code, 1)
  t.match(drifted.stdout, /^CONV_0 .* no: max_msgs_per_subject$/m)
  t.match((await doctor(system)).of('stream CONV_0'), { state: 'ill', detail: /max_msgs_per_subject/ })
  const applied = await runConfab(['streams', 'apply', ...system.flags])
  t.equal(applied.code, 0)
  t.match(applied.stdout, /^CONV_0 +updated +max_msgs_per_subject$/m)

  const status = await runConfab(['streams', 'status', ...system.flags])
  t.equal(status.code, 1)
  t.match(status.stderr, /error NOT_READY: CONV_0 has lost messages/)
  const ill = await doctor(system, '--all')
  t.equal(ill.code, 1)
  t.match(ill.of('events of CONV_0'), { state: 'ill', detail: /16 of \d+ messages are missing/ })
  t.match(ill.of('conversation r'), {
    state: 'ill',
    detail: /lacks events 1 to 16 of conversation r/,
    advice: /Events are missing from the log/,
  })
  t.match((await doctor(system)).of('conversation r'), { state: 'ill' }, 'small systems are checked whole')
  for (const args of [[], ['--conversation', 'r'], ['--type', 'message.edited']]) {
    const replay = await runConfab(['replay', ...args, ...system.flags])
    t.equal(replay.code, 1, args.join(' '))
    t.match(replay.stderr, /error LOG_DAMAGED: .*events 1 to 16 of conversation r/, args.join(' '))
  }
  t.equal((await runConfab(['replay', '--conversation', 'r', ...system.flags])).stdout.split('\n').length, 6)

  const confab = await system.start()
  for (const request of [
    { t: 'send', c: 'r', m: 'new', text: 'hello' },
    { t: 'history', c: 'r' },
  ]) {
    t.match(await ask(confab, 'alice', request), { ok: false, error: { code: 'LOG_DAMAGED' } })
    t.match(await ask(confab, 'eve', request), { ok: false, error: { code: 'NOT_FOUND' } })
  }
  t.match(await ask(confab, 'alice', { t: 'create', c: 'new', kind: 'group', members: [] }), { ok: true })
  t.match(confab.output(), /the log has lost events/)
  const metrics = async () => await (await fetch(`${confab.adminUrl}/metrics`)).text()
  while (!(await metrics()).includes('confab_log_missing_events{stream="CONV_0"} 16'))
    await new Promise(setImmediate)
  t.match(await doctor(system), { code: 1 }, 'also while the server runs')
  t.equal(await confab.stop(), 0)
})

const expected: Record<Exclude<Damage, 'limit'>, RegExp> = {
  purge: /lacks events 1 to 21 of conversation purge, which the timeline has/,
  middle: /lacks event 11 of conversation middle/,
  first: /lacks events 1 to 3 of conversation first/,
  last: /lacks events 19 to 21 of conversation last, which the timeline has/,
}
const kinds = Object.keys(expected) as (keyof typeof expected)[]

t.test('events that were purged or deleted: doctor and replay name them', async t => {
  const system = await begin(t, [...kinds, 'whole'])
  const nats = await system.nats.connect()
  for (const kind of kinds) await damages[kind](nats, { family: 'conv', id: kind })
  for (const more of [[], ['--all']]) {
    const { code, of } = await doctor(system, ...more)
    t.equal(code, 1)
    for (const kind of kinds) t.match(of(`conversation ${kind}`), { state: 'ill', detail: expected[kind] })
    t.equal(of('conversation whole'), undefined)
    t.match(of('events of CONV_0'), { state: 'ill', detail: /^28 of 105 messages are missing/ })
  }
  const replay = await runConfab(['replay', ...system.flags])
  t.equal(replay.code, 1)
  t.match(replay.stderr, /error LOG_DAMAGED: .*stream CONV_0 lacks 28 of the messages/)
  for (const kind of kinds) {
    const one = await runConfab(['replay', '--conversation', kind, ...system.flags])
    if (kind === 'purge') t.match(one.stderr, /NO_SUCH_CONVERSATION/)
    else if (kind !== 'last') t.match(one.stderr, new RegExp(`error LOG_DAMAGED: .*of conversation ${kind}`))
  }
  t.equal((await runConfab(['replay', '--conversation', 'whole', ...system.flags])).code, 0)
})

t.test('views that hold more than the log are reported: the log was restored from an older copy', async t => {
  const system = await begin(t)
  const nats = await system.nats.connect()
  const manager = await jetstreamManager(nats.connection, { checkAPI: false })
  await manager.streams.delete('CONV_0')
  await system.nats.applyStreams()
  const { code, findings, of } = await doctor(system)
  t.equal(code, 1)
  t.match(
    findings.filter(({ what }) => what.startsWith('projection ')).map(({ detail }) => detail),
    [/generation 1 holds events that the log has lost: \d+ of CONV_0/],
  )
  t.match(of('conversation r'), { detail: /lacks events 1 to 21 of conversation r, which the timeline has/ })
  const confab = await system.start()
  t.match(confab.output(), /view holds events that the log has lost/)
  t.equal(await confab.stop(), 0)
})

t.test('users too', async t => {
  const system = await begin(t)
  const before = await system.start()
  for (let seq = 1; seq < 10; seq++) await ask(before, 'bob', { t: 'read', c: 'r', seq })
  t.equal(await before.stop(), 0)
  await damages.middle(await system.nats.connect(), { family: 'user', id: 'bob' })
  const { code, of } = await doctor(system)
  t.equal(code, 1)
  t.match(of('user bob'), { state: 'ill', detail: /lacks event \d+ of user bob/ })
  t.match(of('events of CONV_0'), { state: 'well' })
  const replay = await runConfab(['replay', '--users', ...system.flags])
  t.match(replay.stderr, /error LOG_DAMAGED: .*of user bob/)
})

t.test('messages of another program on a subject are no damage', async t => {
  const system = await begin(t)
  const { connection } = await system.nats.connect()
  for (const subject of ['conv.0.r', 'conv.1.some-thing', 'conv.x.y']) {
    connection.publish(subject, 'x')
    await connection.flush()
  }
  t.same((await doctor(system, '--all')).damage, [])
  t.equal((await runConfab(['replay', ...system.flags])).code, 0)
})
