import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import t, { type Test } from 'tap'
import { emptyConversation } from '../../src/commands/domain/conversation-state.ts'
import { conversationType } from '../../src/commands/domain/conversation-type.ts'
import { decodeConversationEvent, type StoredEvent } from '../../src/events/index.ts'
import { openSqliteStores, openSqliteViews } from '../../src/infra/sqlite/index.ts'
import { ProjectionRunner } from '../../src/projections/index.ts'
import { setUp } from '../commands/one-node.ts'
import { tempFolder } from '../harness/temp-folder.ts'
import { MemorySource } from './memory-source.ts'
import { quiet, untilLevel } from './run-to-end.ts'

const c = 'c1'
const channelMembers = 10
/** Joins in flight: fewer than a conversation's queue accepts. */
const atOnce = 500

/** Returns the bytes of the state that decides a channel's commands, as a snapshot. */
const stateBytes = (events: readonly StoredEvent[]): number => {
  const state = emptyConversation(c)
  for (const stored of events)
    conversationType.evolve(state, decodeConversationEvent(stored), {
      ...stored,
      commandId: stored.envelope.commandId,
    })
  return conversationType.serialise(state).length
}

/** Returns the cost of a message in a channel with this many followers: events, bytes of state, rows of the views. */
const costOf = async (t: Test, followers: number) => {
  const { log, as } = await setUp({ limits: { channelMembers } })
  const members = Array.from({ length: channelMembers - 1 }, (_, i) => `m${i}`)
  await as('alice', { t: 'create', c, kind: 'channel', members })
  for (let from = 0; from < followers; from += atOnce)
    await Promise.all(
      Array.from({ length: Math.min(atOnce, followers - from) }, (_, i) =>
        as(`f${from + i}`, { t: 'join', c }),
      ),
    )

  const path = join(tempFolder(t), 'views.db')
  const streams = { CONV_0: [...log.stream('CONV_0')], USER_0: [...log.stream('USER_0')] }
  const source = new MemorySource(streams)
  const stores = openSqliteStores(path)
  const runner = new ProjectionRunner({ source, stores, log: quiet })
  await runner.start()
  await untilLevel(runner, source)
  const db = new DatabaseSync(path, { readOnly: true })
  const tables = db
    .prepare(`SELECT name FROM sqlite_schema WHERE type = 'table' AND sql LIKE '%STRICT%'`)
    .all()
  const rows = () =>
    tables.reduce(
      (sum, { name }) => sum + Number(db.prepare(`SELECT count(*) AS n FROM ${name}`).get()?.n),
      0,
    )
  const before = { rows: rows(), events: log.stream('CONV_0').length + log.stream('USER_0').length }

  await as('alice', { t: 'send', c, m: 'm1', text: 'to all of you' })
  await as('f0', { t: 'send', c, m: 'm2', text: 'and from one of us' })
  source.push(...log.stream('CONV_0').slice(streams.CONV_0.length))
  await untilLevel(runner, source)
  const cost = {
    rows: rows() - before.rows,
    events: log.stream('CONV_0').length + log.stream('USER_0').length - before.events,
    state: stateBytes(log.stream('CONV_0')),
  }

  const views = openSqliteViews(path)
  t.match(await views.inbox.item(`f${followers - 1}`, c), { unread: 2, head: 3, read: 1 })
  const { members: page, cursor } = await views.roster.members(c, { limit: 200 })
  t.equal(page.length, Math.min(200, followers + channelMembers))
  t.equal(cursor !== undefined, followers + channelMembers > 200)
  db.close()
  views.close()
  await runner.stop()
  await stores.close()
  return cost
}

t.test('a message costs the same in a channel of 10 followers and of 100,000', async t => {
  const few = await costOf(t, 10)
  const many = await costOf(t, 100_000)
  t.comment(JSON.stringify({ few, many }))
  t.same(many, few)
  t.equal(few.events, 2)
})
