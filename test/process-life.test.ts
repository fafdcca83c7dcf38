import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { createLifecycle, stopTimeoutOf } from '../src/app/lifecycle.ts'
import { settlesWithin } from '../src/base/timeout.ts'
import { createLogger } from '../src/infra/telemetry/index.ts'
import { tempFolder } from './harness/temp-folder.ts'

const logged = (file: string): unknown[] =>
  readFileSync(file, 'utf8')
    .trim()
    .split('\n')
    .map(line => JSON.parse(line))

t.test(
  'a component stops after the components that use it, and a failure does not keep the others',
  async t => {
    const file = join(tempFolder(t), 'log')
    const life = createLifecycle(createLogger({ level: 'warn', destination: file }), 5_000)
    const stopped: string[] = []
    const stop = (name: string) => async () => {
      await sleep(Math.random() * 5)
      stopped.push(name)
    }
    life.onStop('nats', stop('nats'))
    life.onStop('log', stop('log'), ['nats'])
    life.onStop('bus', stop('bus'), ['log', 'nats'])
    life.onStop('fails late', async () => {
      await null
      throw new Error('late')
    }, ['bus'])
    life.onStop('fails', () => {
      throw new Error('at once')
    })
    life.onStop('edge', stop('edge'), ['bus', 'not in this process'])
    await life.stop()
    t.same(stopped, ['edge', 'bus', 'log', 'nats'])
    t.match(logged(file), [
      { component: 'fails', msg: 'component failed to stop' },
      { component: 'fails late', msg: 'component failed to stop' },
    ])
    await life.stop()
    t.equal(stopped.length, 4, 'once')
  },
)

t.test('independent components stop in parallel', async t => {
  const life = createLifecycle(createLogger({ level: 'silent' }), 5_000)
  let running = 0
  let most = 0
  for (let i = 0; i < 10; i++)
    life.onStop(`component ${i}`, async () => {
      most = Math.max(most, ++running)
      await sleep(20)
      running--
    })
  await life.stop()
  t.equal(most, 10)
})

t.test('hanging components end within one bound, and all others stop', async t => {
  const file = join(tempFolder(t), 'log')
  const boundMs = 400
  const life = createLifecycle(createLogger({ level: 'warn', destination: file }), boundMs)
  const stopped: string[] = []
  life.onStop('nats', () => stopped.push('nats'))
  life.onStop('log', () => stopped.push('log'), ['nats'])
  const names = ['edge', 'drain', 'media', 'projections']
  const uses = [['log'], ['edge'], ['log'], ['nats']]
  for (const [i, name] of names.entries()) life.onStop(name, () => new Promise(() => {}), uses[i])
  life.onStop('apart', () => stopped.push('apart'))
  const startedAt = performance.now()
  await life.stop()
  const tookMs = performance.now() - startedAt
  t.ok(tookMs < boundMs + 200, `${Math.round(tookMs)} ms`)
  t.same(stopped, ['apart', 'log', 'nats'])
  const abandoned = logged(file) as { component: string; msg: string }[]
  t.same(abandoned.map(({ component }) => component).sort(), [...names].sort())
  for (const { msg } of abandoned) t.equal(msg, 'component did not stop in time, abandoned')
})

t.test('a component that starts while the process stops is stopped at once', async t => {
  const life = createLifecycle(createLogger({ level: 'silent' }), 1_000)
  await life.stop()
  let isStopped = false
  life.onStop('late', () => {
    isStopped = true
  })
  t.ok(isStopped)
})

t.test('the bound of a stop is 30 s, more where the drain is long, or as configured', async t => {
  t.equal(stopTimeoutOf({ drainMs: 10_000, stopTimeoutMs: undefined }), 30_000)
  t.equal(stopTimeoutOf({ drainMs: 60_000, stopTimeoutMs: undefined }), 80_000)
  t.equal(stopTimeoutOf({ drainMs: 60_000, stopTimeoutMs: 40_000 }), 40_000)
})

t.test(
  'settlesWithin returns whether a promise settled in time, and rejects as the promise does',
  async t => {
    t.equal(await settlesWithin(1_000, Promise.resolve()), true)
    t.equal(await settlesWithin(1, new Promise(() => {})), false)
    await t.rejects(settlesWithin(1_000, Promise.reject(new Error('no'))), { message: 'no' })
  },
)
