import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import type { StoredEvent } from '../../src/events/index.ts'
import { openSqliteStores, openSqliteViews } from '../../src/infra/sqlite/index.ts'
import {
  ChangeRejectedError,
  type DeadLetter,
  feed,
  openFeeds,
  type ProjectionName,
  ProjectionRunner,
  type ProjectionTarget,
  projectionNames,
  type RunnerOptions,
  type TimelineChange,
  timelineProjection,
  type ViewStores,
} from '../../src/projections/index.ts'
import { tempFolder } from '../harness/temp-folder.ts'
import { historyOf, stepsOf } from './history.ts'
import { MemorySource } from './memory-source.ts'
import { modelOf } from './model-views.ts'
import { readAll } from './read-views.ts'
import { quiet, untilLevel } from './run-to-end.ts'

const streams = historyOf(fc.sample(stepsOf(400, 400), { numRuns: 1, seed: 42 })[0] ?? [])
const model = modelOf(streams)

interface Open extends Omit<Partial<RunnerOptions>, 'stores'> {
  path?: string
  wrap?: (stores: ViewStores) => ViewStores
}

const open = async (
  t: Test,
  source: MemorySource,
  { path = join(tempFolder(t), 'views.db'), wrap = s => s, ...options }: Open = {},
) => {
  const stores = openSqliteStores(path)
  const runner = new ProjectionRunner({
    source,
    stores: wrap(stores),
    log: quiet,
    retryMs: 1,
    headEveryMs: 5,
    ...options,
  })
  const views = openSqliteViews(path)
  let isOpen = true
  const close = async () => {
    if (!isOpen) return
    isOpen = false
    await runner.stop()
    views.close()
    await stores.close()
  }
  t.teardown(close)
  await runner.start()
  return { runner, stores, views, path, close }
}
const statusOf = (runner: ProjectionRunner, name: ProjectionName, stream = 'CONV_0') => {
  const found = runner
    .status()
    .find(({ projection }) => projection === name)
    ?.streams.find(one => one.stream === stream)
  if (found === undefined) throw new Error(`no status of ${name}`)
  return found
}
const until = async (condition: () => boolean) => {
  while (!condition()) await sleep(1)
}

t.test('an event that cannot be applied becomes a dead letter, and the rest continues', async t => {
  const events = streams.CONV_0 ?? []
  const broken = (event: StoredEvent, text: string): StoredEvent => ({ ...event, data: Buffer.from(text) })
  const reactions = events.filter(({ envelope }) => envelope.type.startsWith('reaction')).slice(0, 3)
  const texts = ['not json', '{"type":"reaction.added"}', '\xff']
  const poisoned = events.map(event => {
    const i = reactions.indexOf(event)
    return i < 0 ? event : broken(event, texts[i] ?? '')
  })
  const letters: DeadLetter[] = []
  let refusals = 3
  const { runner, views, path, close } = await open(t, new MemorySource({ ...streams, CONV_0: poisoned }), {
    deadLetters: {
      async publish(letter) {
        if (refusals-- > 0) throw new Error('no stream')
        letters.push(letter)
      },
    },
  })
  await untilLevel(runner, new MemorySource(streams))
  const filed = new Set(letters.map(({ projection, streamSeq }) => `${projection} ${streamSeq}`))
  t.equal(filed.size, reactions.length * projectionNames.length)
  t.match(letters[0], { stream: 'CONV_0', reason: /not JSON/, at: /^\d{4}-/ })
  for (const name of projectionNames) t.equal(statusOf(runner, name).deadLetters, reactions.length)
  t.equal(statusOf(runner, 'inbox', 'CONV_1').deadLetters, 0)
  t.strictSame((await readAll(views)).members, model.all.members)
  await close()

  const again = await open(t, new MemorySource({ ...streams, CONV_0: poisoned }), { path })
  t.equal(statusOf(again.runner, 'timeline').deadLetters, reactions.length, 'the count is kept')
})

t.test('an event of a type that only a later version knows counts, and has no other effect', async t => {
  const events = streams.CONV_0 ?? []
  const reactions = new Set(events.filter(({ envelope }) => envelope.type.startsWith('reaction')))
  const inLaterVersion = (stored: StoredEvent): StoredEvent => {
    const body = { ...JSON.parse(Buffer.from(stored.data).toString()), type: 'message.pinned', m: 7 }
    const envelope = { ...stored.envelope, type: 'message.pinned', version: 2 }
    return { ...stored, envelope, data: Buffer.from(JSON.stringify(body)) }
  }
  const users = (streams.USER_0 ?? []).map(stored =>
    stored.envelope.type === 'conversation.muted'
      ? { ...stored, envelope: { ...stored.envelope, type: 'user.renamed' } }
      : stored,
  )
  t.ok(reactions.size > 0 && users.some(({ envelope }) => envelope.type === 'user.renamed'))
  const source = new MemorySource({
    ...streams,
    CONV_0: events.map(stored => (reactions.has(stored) ? inLaterVersion(stored) : stored)),
    USER_0: users,
  })
  const { runner, views } = await open(t, source)
  await untilLevel(runner, source)
  for (const name of projectionNames)
    for (const stream of ['CONV_0', 'USER_0']) t.equal(statusOf(runner, name, stream).deadLetters, 0, name)
  const all = await readAll(views)
  t.strictSame(all.heads, model.all.heads)
  t.strictSame(all.messages, model.all.messages)
  t.strictSame(all.members, model.all.members)
  t.strictSame(
    all.inboxes
      .flat()
      .map(({ c, head, unread }) => [c, head, unread])
      .sort(),
    model.all.inboxes
      .flat()
      .map(({ c, head, unread }) => [c, head, unread])
      .sort(),
  )
  const types = all.timeline.flat().map(({ type }) => type)
  t.equal(types.filter(type => type === 'message.pinned').length, reactions.size)
})

t.test('a projection that throws on an event misses only that event; others do not', async t => {
  const victim = (streams.CONV_0 ?? [])[5]
  const feeds = async (stores: ViewStores): Promise<ProjectionTarget[]> => {
    const timeline = await stores.open('timeline', 1)
    return (await openFeeds(stores)).map(one =>
      one.name !== 'timeline'
        ? one
        : feed(
            {
              ...timelineProjection,
              apply(projected) {
                if (projected.stored === victim) throw new Error('cannot')
                return timelineProjection.apply(projected)
              },
            },
            timeline,
          ),
    )
  }
  const path = join(tempFolder(t), 'views.db')
  const stores = openSqliteStores(path)
  const source = new MemorySource(streams)
  const runner = new ProjectionRunner({ source, stores, log: quiet, feeds: await feeds(stores) })
  await runner.start()
  await untilLevel(runner, source)
  await runner.stop()
  t.same(
    projectionNames.map(name => statusOf(runner, name).deadLetters),
    projectionNames.map(name => (name === 'timeline' ? 1 : 0)),
  )
  const views = openSqliteViews(path)
  const all = await readAll(views)
  const missed = JSON.parse(Buffer.from(victim?.data ?? []).toString())
  t.strictSame(
    all.timeline,
    model.all.timeline.map(events =>
      events.filter(event => event.c !== missed.c || event.seq !== missed.seq),
    ),
  )
  t.strictSame(all.inboxes, model.all.inboxes)
  views.close()
  await stores.close()
})

t.test('a change that the store can never take is a dead letter of its projection only', async t => {
  const victim = (streams.CONV_0 ?? [])[7]
  const source = new MemorySource(streams)
  const { runner, views } = await open(t, source, {
    wrap: stores => ({
      ...stores,
      async open(projection, generation) {
        const store = await stores.open(projection, generation)
        if (projection !== 'timeline') return store
        const timeline = await stores.open('timeline', generation)
        return {
          ...store,
          async apply(changes: readonly TimelineChange[]) {
            await timeline.apply(changes)
            if (changes.some(({ data }) => data === victim?.data)) throw new ChangeRejectedError('constraint')
          },
        }
      },
    }),
  })
  await untilLevel(runner, source)
  t.same(
    projectionNames.map(name => statusOf(runner, name).deadLetters),
    projectionNames.map(name => (name === 'timeline' ? 1 : 0)),
  )
  const all = await readAll(views)
  t.equal(all.timeline.flat().length, model.all.timeline.flat().length - 1)
  t.strictSame(all.inboxes, model.all.inboxes)
})

t.test('a failing store or log is reported and retried, and nothing is lost', async t => {
  const source = new MemorySource(streams)
  let isBroken = true
  const { runner, views } = await open(t, source, {
    wrap: stores => ({
      ...stores,
      atomically: work =>
        isBroken ? Promise.reject(new Error('the disk is full')) : stores.atomically(work),
    }),
  })
  await until(() => statusOf(runner, 'inbox').state === 'failing')
  t.match(statusOf(runner, 'inbox'), { reason: 'the disk is full', position: 0 })
  t.equal(runner.status()[0]?.state, 'failing')
  await until(() => statusOf(runner, 'inbox').lagMs > 20)
  isBroken = false
  await untilLevel(runner, source)
  t.match(statusOf(runner, 'inbox'), { state: 'live', lagEvents: 0, lagMs: 0 })
  t.notOk('reason' in statusOf(runner, 'inbox'))

  source.failure = new Error('no connection')
  source.push()
  await until(() => statusOf(runner, 'inbox').state === 'failing')
  source.failure = undefined
  await until(() => statusOf(runner, 'inbox').state === 'live')
  t.strictSame(await readAll(views), model.all)
})

t.test('a runner stops while its store fails', async t => {
  const { runner } = await open(t, new MemorySource(streams), {
    retryMs: 60_000,
    wrap: stores => ({ ...stores, atomically: () => Promise.reject(new Error('gone')) }),
  })
  await until(() => statusOf(runner, 'inbox').state === 'failing')
  await runner.stop()
  t.match(statusOf(runner, 'inbox'), { state: 'stopped', position: 0 })
})

t.test('a paused projection keeps its position while the others continue', async t => {
  const halves = Object.entries(streams).map(
    ([stream, events]) => [stream, events.slice(0, events.length / 2)] as const,
  )
  const source = new MemorySource(Object.fromEntries(halves), [7])
  const { runner, views } = await open(t, source)
  await untilLevel(runner, source)
  runner.pause('inbox')
  runner.pause('search')
  const before = statusOf(runner, 'inbox')
  for (const [stream, events] of Object.entries(streams))
    source.push(...events.slice(halves.find(([name]) => name === stream)?.[1].length))
  await untilLevel(runner, source)
  await until(() => statusOf(runner, 'inbox').lagEvents > 0)
  t.match(statusOf(runner, 'inbox'), { state: 'paused', position: before.position })
  t.match(statusOf(runner, 'timeline'), { state: 'live' })
  t.strictSame((await readAll(views)).timeline, model.all.timeline)
  runner.resume('inbox')
  await until(
    () => statusOf(runner, 'inbox').state === 'live' && statusOf(runner, 'inbox', 'CONV_1').state === 'live',
  )
  t.equal(statusOf(runner, 'search').state, 'paused')
  for (const name of projectionNames) runner.pause(name)
  for (const name of projectionNames) runner.resume(name)
  await untilLevel(runner, source)
  t.strictSame(await readAll(views), model.all)
})

t.test('lag is counted in events and in time', async t => {
  const source = new MemorySource({ CONV_0: [], CONV_1: [], USER_0: [] })
  let release = () => {}
  const gate = new Promise<void>(resolve => (release = resolve))
  const { runner } = await open(t, source, {
    wrap: stores => ({ ...stores, atomically: work => gate.then(() => stores.atomically(work)) }),
  })
  t.match(statusOf(runner, 'roster'), {
    position: 0,
    head: 0,
    lagEvents: 0,
    lagMs: 0,
    state: 'live',
    rate: 0,
  })
  const events = streams.CONV_0 ?? []
  source.push(...events)
  await until(() => statusOf(runner, 'roster').lagMs > 0)
  const head = events.at(-1)?.streamSeq ?? 0
  t.match(statusOf(runner, 'roster'), { head, lagEvents: head, state: 'catching-up' })
  release()
  await untilLevel(runner, source)
  t.match(statusOf(runner, 'roster'), { position: head, lagEvents: 0, lagMs: 0, state: 'live' })
  await until(() => statusOf(runner, 'roster').rate > 0)
  await runner.stop()
  t.equal(statusOf(runner, 'roster').state, 'stopped')
})

t.test('a view that holds more than the log is reported, while it runs and at the next start', async t => {
  const lines: object[] = []
  const log = {
    ...quiet,
    error: (fields: object, message: string) => void lines.push({ ...fields, message }),
  }
  const source = new MemorySource(streams)
  const { runner, path, close } = await open(t, source, { log })
  await untilLevel(runner, source)
  const { position } = statusOf(runner, 'timeline')
  const events = streams.CONV_0 ?? []
  const missing = (events.at(-1)?.streamSeq ?? 0) - events.length
  await until(() => statusOf(runner, 'timeline').missingEvents === missing)
  t.match(statusOf(runner, 'timeline'), { head: position, aheadEvents: 0 })
  source.truncate('CONV_0', 3)
  await until(() => statusOf(runner, 'timeline').aheadEvents === 3)
  t.equal(statusOf(runner, 'timeline', 'CONV_1').aheadEvents, 0)
  await until(() => lines.length === projectionNames.length)
  const line = {
    message: 'view holds events that the log has lost',
    projection: 'timeline',
    generation: 1,
    stream: 'CONV_0',
    position,
    end: position - 3,
  }
  t.match(
    lines.find(one => (one as typeof line).projection === 'timeline'),
    line,
  )
  await close()
  lines.length = 0
  await open(t, source, { log, path })
  t.match(
    lines.find(one => (one as typeof line).projection === 'timeline'),
    line,
  )
})

t.test('a stream that was added is continued after its origin, whichever worker follows that', async t => {
  const all = streams.CONV_0 ?? []
  const half = all.slice(0, Math.ceil(all.length / 2))
  const streamSeq = half.at(-1)?.streamSeq ?? 0
  const added = all.slice(half.length).map(event => ({ ...event, stream: 'CONV_8' }))
  class SplitSource extends MemorySource {
    override async streams() {
      const bounds = await super.streams()
      return bounds.map(one =>
        one.stream === 'CONV_8' || one.stream === 'CONV_9'
          ? {
              ...one,
              last: Math.max(one.last, streamSeq),
              missing: 0,
              origin: { stream: 'CONV_0', streamSeq },
            }
          : one,
      )
    }
  }
  const source = new SplitSource({ ...streams, CONV_0: half, CONV_8: added, CONV_9: [] })
  const path = join(tempFolder(t), 'views.db')
  const { runner, stores, views } = await open(t, source, {
    path,
    streams: ['CONV_8', 'CONV_9', 'CONV_1', 'USER_0'],
  })
  const at = (stream: string) => statusOf(runner, 'timeline', stream).position
  await until(() => at('CONV_1') > 0)
  await sleep(250)
  t.same([at('CONV_8'), at('CONV_9')], [0, 0], 'they wait')
  const other = await open(t, source, { path, streams: ['CONV_0'] })
  await until(() => at('CONV_8') === added.at(-1)?.streamSeq && at('CONV_9') === streamSeq)
  await until(() => projectionNames.every(name => statusOf(runner, name, 'CONV_9').position === streamSeq))
  await until(() => projectionNames.every(name => statusOf(runner, name, 'CONV_8').lagEvents === 0))
  t.equal(statusOf(other.runner, 'timeline', 'CONV_0').position, streamSeq)
  t.same(await readAll(views), model.all, 'the views are those of the whole log')
  const checkpoints = (await stores.checkpoints.load()).filter(({ stream }) => stream === 'CONV_9')
  t.same(
    checkpoints.map(one => one.streamSeq),
    projectionNames.map(() => streamSeq),
    'also a stream without an event of its own has a position',
  )
})
