import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { jetstreamManager } from '@nats-io/jetstream'
import fc from 'fast-check'
import t from 'tap'
import { type ProjectionsThread, startProjectionsThread } from '../../src/app/projections.ts'
import { ConfabError, type StoredEvent } from '../../src/events/index.ts'
import { discoverLog, JetStreamEventLog, NatsEventSource, openNatsPlans } from '../../src/infra/nats/index.ts'
import { openSqliteViews } from '../../src/infra/sqlite/index.ts'
import {
  defaultProjectionSettings,
  type EventSource,
  projectionNames,
  type RunnerLog,
  setPaused,
} from '../../src/projections/index.ts'
import { startNats } from '../harness/nats.ts'
import { tempFolder } from '../harness/temp-folder.ts'
import { historyOf, stepsOf } from './history.ts'
import { modelOf } from './model-views.ts'
import { readAll } from './read-views.ts'
import { quiet } from './run-to-end.ts'

const history = (seed: number) => {
  const [steps = []] = fc.sample(stepsOf(600, 600), { numRuns: 1, seed })
  return Object.values(historyOf(steps)).flat()
}

/** Returns the first event of a history, in another conversation's log. */
const elsewhere = (id: string, [first]: readonly StoredEvent[]): StoredEvent => {
  if (first === undefined) throw new Error('an empty history')
  return {
    ...first,
    aggregate: { family: 'conv', id },
    envelope: { ...first.envelope, commandId: `${id}.1` },
  }
}

const rangeOf = async (source: EventSource, stream: string, last: number): Promise<StoredEvent[]> => {
  const events: StoredEvent[] = []
  for await (const batch of source.range(stream, 0, last)) events.push(...batch)
  return events
}

t.test('a thread builds views of a log on JetStream', async t => {
  const nats = await startNats(t)
  const connection = await nats.connect()
  const layout = await discoverLog(connection.connection)
  const log = new JetStreamEventLog(connection, layout)
  const source = new NatsEventSource(connection, layout)
  const plans = await openNatsPlans(connection)
  const heads = new Map<string, number>()
  const append = async (events: readonly StoredEvent[]) => {
    for (const { aggregate, envelope, data } of events) {
      const key = `${aggregate.family}.${aggregate.id}`
      const { position } = await log.append(aggregate, heads.get(key) ?? 0, [{ envelope, data }])
      heads.set(key, position.streamSeq)
    }
  }
  const lines: string[] = []
  const note: RunnerLog = {
    ...quiet,
    error: (fields, message) => lines.push(`${message} ${JSON.stringify(fields)}`),
  }
  const viewsFile = join(tempFolder(t), 'views', 'views.db')
  let failure: Error | undefined
  const start = () =>
    startProjectionsThread({
      natsServers: nats.url,
      databases: { file: viewsFile },
      settings: defaultProjectionSettings,
      log: note,
      onFailure: error => (failure = error),
    })
  const level = async (thread: ProjectionsThread, names: readonly string[] = projectionNames) => {
    const ends = new Map((await source.streams()).map(({ stream, last }) => [stream, last]))
    const isBehind = () =>
      thread
        .status()
        .filter(({ projection }) => names.includes(projection))
        .some(({ streams }) => streams.some(({ stream, position }) => position < (ends.get(stream) ?? 0)))
    while (isBehind() && failure === undefined) await sleep(10)
  }
  const expectViews = async () => {
    const streams: Record<string, StoredEvent[]> = {}
    for (const { stream, last } of await source.streams())
      streams[stream] = await rangeOf(source, stream, last)
    const views = openSqliteViews(viewsFile)
    t.strictSame(await readAll(views), modelOf(streams).all)
    views.close()
  }

  const events = history(1)
  const half = events.length / 2
  await append(events.slice(0, half))
  let thread = await start()
  t.teardown(() => thread.stop())
  await level(thread)
  const setSearch = async (paused: boolean) => {
    await plans.update('search', plan => plan && setPaused(plan, paused))
    const isPaused = () => thread.status().some(one => one.projection === 'search' && one.state === 'paused')
    while (isPaused() !== paused) await sleep(10)
  }
  await setSearch(true)
  await append(events.slice(half))
  await level(
    thread,
    projectionNames.filter(name => name !== 'search'),
  )
  await expectViews()
  t.equal(thread.status().find(({ projection }) => projection === 'search')?.state, 'paused')
  await setSearch(false)
  await level(thread)

  await nats.kill9()
  await nats.restart()
  while (!connection.connected()) await sleep(10)
  const { viewChanges } = thread
  t.ok(projectionNames.every(viewChanges.covers))
  const version = viewChanges.version()
  const changed = viewChanges.after(version, 60_000)
  await append([elsewhere('c-9', events)])
  await changed
  t.ok(viewChanges.version() > version, 'a stored batch is reported')
  await viewChanges.after(version, 60_000)
  await level(thread)
  await thread.stop()
  const stopped = performance.now()
  await viewChanges.after(viewChanges.version(), 50)
  t.ok(performance.now() - stopped < 5_000, 'without a batch, a wait ends in time')
  t.equal(failure, undefined)

  const poison = { ...elsewhere('c-8', events), data: Buffer.from('{"secret') }
  await append([poison])
  thread = await start()
  await level(thread)
  const manager = await jetstreamManager(connection.connection)
  const { state } = await manager.streams.info('DEAD_LETTERS', { subjects_filter: 'dead.*' })
  t.strictSame(
    state.subjects,
    Object.fromEntries(projectionNames.map(name => [`dead.${name}`, 1])),
    'one letter per projection',
  )
  t.equal(lines.length, projectionNames.length)
  t.notOk(
    lines.some(line => line.includes('secret')),
    'what the event held is not logged',
  )
  t.strictSame(
    thread.status().map(({ streams }) => Math.max(...streams.map(({ deadLetters }) => deadLetters))),
    projectionNames.map(() => 1),
  )
  await thread.stop()
  source.close()
  log.close()
})

t.test('a thread that cannot start reports the reason', async t => {
  const folder = tempFolder(t)
  const file = join(folder, 'file')
  writeFileSync(file, '')
  const start = (natsServers: string, viewsFile: string) =>
    startProjectionsThread({
      natsServers,
      databases: { file: viewsFile },
      settings: defaultProjectionSettings,
      log: quiet,
      onFailure: () => {},
    })
  const error = await start('nats://127.0.0.1:1', join(file, 'views.db')).catch(error => error)
  t.ok(ConfabError.is(error))
  t.match(error, { code: 'UNAVAILABLE', message: /folder cannot be used/ })
  await t.rejects(start('nats://127.0.0.1:1', join(folder, 'views.db')), /127\.0\.0\.1:1/)
})
