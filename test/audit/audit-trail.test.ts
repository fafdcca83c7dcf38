import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import t from 'tap'
import { boundedFacts } from '../../src/audit/facts.ts'
import {
  type ActionName,
  Actions,
  type AuditEntry,
  type AuditLog,
  type AuditRecord,
  AuditTrail,
  type AuditTrailOptions,
  genesis,
  recordBytes,
  sealRecord,
} from '../../src/audit/index.ts'
import { hideSecret } from '../../src/base/redact.ts'
import { ConfabError } from '../../src/events/index.ts'

/** A chain in memory, which can refuse records. */
class MemoryAudit implements AuditLog {
  readonly records: AuditRecord[] = []
  isUnavailable = false

  async append(entry: AuditEntry): Promise<AuditRecord> {
    if (this.isUnavailable) throw new Error('no leader')
    const record = sealRecord(entry, this.records.at(-1) ?? genesis)
    this.records.push(record)
    return record
  }
}

const open = (options: Partial<AuditTrailOptions> = {}) => {
  const log = new MemoryAudit()
  const unrecorded: string[] = []
  const trail = new AuditTrail({
    log,
    actor: { actor: 'operator:olga', osUser: 'root' },
    process: 'one/1',
    onUnrecorded: (error, action) => unrecorded.push(`${action}: ${error.message}`),
    ...options,
  })
  return { log, trail, unrecorded }
}

const actions = Object.keys(Actions) as ActionName[]
const of = (recording: string) => actions.filter(action => Actions[action].recording === recording)

t.test('each action is recorded as the table says, with its outcome and facts', async t => {
  for (const action of actions) {
    const { log, trail } = open()
    const before = Actions[action].recording === 'after' ? 0 : 1
    const value = await trail.perform(action, { target: 'user:alice', params: { a: 1 } }, async report => {
      t.equal(log.records.length, before, `${action}: recorded before it starts`)
      report({ letters: 2 })
      report({ applied: [1] })
      return 7
    })
    t.equal(value, 7)
    const [first, last = first] = log.records
    const facts = { actor: 'operator:olga', osUser: 'root', process: 'one/1', action, target: 'user:alice' }
    t.match(last, { ...facts, outcome: 'done', params: { a: 1 }, result: { letters: 2, applied: [1] } })
    t.match(first, { ...facts, outcome: before === 1 ? 'started' : 'done' })
    t.equal(first?.request, last?.request, 'one request')
    t.equal(log.records.length, before + 1)
  }
})

t.test('errors are recorded with their code, and thrown', async t => {
  const cases: [error: unknown, outcome: string, code: string][] = [
    [new ConfabError('FORBIDDEN'), 'refused', 'FORBIDDEN'],
    [new ConfabError('UNAVAILABLE'), 'failed', 'UNAVAILABLE'],
    [Object.assign(new Error('x'), { code: 'NOT_READY' }), 'failed', 'NOT_READY'],
    [Object.assign(new Error('x'), { code: 'a text with spaces' }), 'failed', 'INTERNAL'],
    [new Error('x'), 'failed', 'INTERNAL'],
    [undefined, 'failed', 'INTERNAL'],
  ]
  for (const [error, outcome, code] of cases) {
    const { log, trail } = open()
    const failing = trail.perform('projections.pause', {}, () => Promise.reject(error))
    t.equal(await failing.catch(thrown => thrown), error)
    t.match(log.records.at(-1), { outcome, code })
  }
})

t.test('without the stream, destructive actions do not start, and all others do', async t => {
  t.same(of('required'), ['lost.discard', 'messages.import', 'projections.drop', 'projections.discard'])
  for (const action of actions) {
    const { log, trail, unrecorded } = open()
    log.isUnavailable = true
    let isStarted = false
    const performing = trail.perform(action, {}, async () => {
      isStarted = true
    })
    if (Actions[action].recording === 'required') {
      await t.rejects(performing, { code: 'AUDIT_UNAVAILABLE', message: `${action} was not started` })
      t.notOk(isStarted, action)
      continue
    }
    await performing
    t.ok(isStarted, action)
    t.ok(unrecorded.length > 0 && unrecorded.every(line => line === `${action}: no leader`), 'reported')
    t.equal(trail.counts.failed, unrecorded.length)
  }
})

t.test('an action that ends while the stream is away has its result, and is reported', async t => {
  const { log, trail, unrecorded } = open()
  const value = await trail.perform('projections.drop', {}, async () => {
    log.isUnavailable = true
    return 'done'
  })
  t.equal(value, 'done')
  t.same(unrecorded, ['projections.drop: no leader'])
  t.match(log.records, [{ outcome: 'started' }])
})

t.test('a flood of refused requests makes a limited number of records, and loses no count', async t => {
  const flood = async (trail: AuditTrail) => {
    for (let n = 0; n < 1_000; n++)
      await trail.note(
        'admin.refuse',
        { params: { path: '/' } },
        { outcome: 'refused', code: 'UNAUTHENTICATED' },
      )
  }
  const countedIn = ({ records }: MemoryAudit) =>
    records.reduce((sum, { result }) => sum + Number(result?.notRecorded ?? 1), 0)
  const { perMinute } = Actions['admin.refuse']
  const slow = open({ minuteMs: 3_600_000 })
  await flood(slow.trail)
  t.equal(slow.log.records.length, perMinute)
  await slow.trail.stop()
  t.equal(slow.log.records.length, perMinute + 1, 'at the stop, what was only counted is recorded')
  const summary = {
    action: 'admin.refuse',
    actor: 'unknown',
    outcome: 'refused',
    result: { notRecorded: 990 },
  }
  t.match(slow.log.records.at(-1), summary)
  t.same([slow.trail.counts.refused, countedIn(slow.log)], [1_000, 1_000])

  const fast = open({ minuteMs: 20 })
  await flood(fast.trail)
  while (countedIn(fast.log) < 1_000) await sleep(5)
  t.equal(countedIn(fast.log), 1_000, 'the end of each interval records what was only counted')
})

t.test('actions of an admin are recorded with token and role', async t => {
  const { log, trail } = open()
  await trail.perform('configuration.read', { by: { actor: 'token:omar', role: 'admin' } }, () => 1)
  t.match(log.records, [{ actor: 'token:omar', role: 'admin', osUser: undefined }])
})

t.test('no secret of the process is in a record, wherever it is', async t => {
  const secret = randomBytes(24).toString('base64')
  hideSecret(secret)
  const { log, trail } = open({ actor: { actor: `os:${secret}`, role: secret, osUser: secret } })
  await trail.perform(
    'projections.retry',
    {
      target: `user:${secret}`,
      params: { [secret]: [{ deep: [`x${secret}`] }], url: 'nats://u:pass-word@h' },
    },
    report => report({ url: `http://${encodeURIComponent(secret)}@h` }),
  )
  const text = Buffer.concat(log.records.map(recordBytes)).toString()
  t.equal(log.records.length, 2)
  t.notOk(text.includes(secret) || text.includes(encodeURIComponent(secret)) || text.includes('pass-word'))
  t.match(text, /\[redacted\]/)
})

t.test('facts are bounded JSON, whatever they are', async t => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.anything({ withBigInt: true, withDate: true })), facts => {
      const bounded = boundedFacts(facts)
      const text = JSON.stringify(bounded)
      return text.length < 10_000 && JSON.stringify(JSON.parse(text)) === text
    }),
  )
  const loop: Record<string, unknown> = { a: 1 }
  loop.self = loop
  t.doesNotThrow(() => boundedFacts(loop))
  const many = boundedFacts({
    paths: Array.from({ length: 1_000 }, (_, n) => `/a/${n}`),
    text: 'x'.repeat(1e6),
  })
  t.equal((many.paths as string[]).at(-1), '… and 968 more')
  t.equal(String(many.text).length, 257)
  const wide = boundedFacts({
    a: Array.from({ length: 32 }, () => Array.from({ length: 32 }, () => 'y'.repeat(256))),
  })
  t.match(wide, { leftOut: /^\d+ characters$/ })
})
