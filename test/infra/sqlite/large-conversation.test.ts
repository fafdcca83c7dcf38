import { statSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import t from 'tap'
import { type ConversationEvent, encodeBody, type StoredEvent } from '../../../src/events/index.ts'
import { openSqliteStores, openSqliteViews } from '../../../src/infra/sqlite/index.ts'
import {
  inboxProjection,
  ProjectionRunner,
  readStateProjection,
  rosterProjection,
  searchProjection,
  timelineProjection,
} from '../../../src/projections/index.ts'
import { tempFolder } from '../../harness/temp-folder.ts'
import { MemorySource } from '../../projections/memory-source.ts'
import { quiet, untilLevel } from '../../projections/run-to-end.ts'

const members = 15_700
const at = '2026-01-01T00:00:00.000Z'
const user = (i: number) => `user-${i}`

const stored = (
  streamSeq: number,
  c: string,
  seq: number,
  n: number,
  fields: Record<string, unknown>,
): StoredEvent => {
  const event = { t: 'event', c, seq, from: user(0), at, ...fields } as unknown as ConversationEvent
  return {
    stream: 'CONV_0',
    streamSeq,
    aggregate: { family: 'conv', id: c },
    envelope: { type: event.type, version: 1, seq, n, actor: user(0), commandId: `${c}.${seq}`, epoch: 1 },
    data: encodeBody(event),
  }
}

t.test(`a message costs the same among ${members} members as between two`, async t => {
  const path = join(tempFolder(t), 'views.db')
  const channel = {
    type: 'conversation.created',
    kind: 'channel',
    members: [{ user: user(0), role: 'owner' }],
  }
  const pair = {
    type: 'conversation.created',
    kind: 'group',
    members: [0, 1].map(i => ({ user: user(i), role: 'member' })),
  }
  const events = [stored(1, 'small', 1, 0, pair), stored(2, 'large', 1, 0, channel)]
  for (let i = 1; i < members; i++)
    events.push(stored(i + 2, 'large', i + 1, 0, { type: 'member.joined', user: user(i), role: 'member' }))
  const source = new MemorySource({ CONV_0: events })
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
  const costs: number[][] = []
  const post = (c: string, seq: number, n: number) =>
    stored(events.length + costs.length + 1, c, seq, n, {
      type: 'message.posted',
      m: `m-${n}`,
      n,
      text: 'a few words',
    })
  let message = post('large', members + 1, 1)
  for (const next of [
    () => message,
    () => post('small', 2, 1),
    () => post('large', members + 2, 2),
    () => post('small', 3, 2),
  ]) {
    const before = [rows(), statSync(`${path}-wal`).size] as const
    message = next()
    source.push(message)
    await untilLevel(runner, source)
    costs.push([rows() - before[0], Math.round((statSync(`${path}-wal`).size - before[1]) / 4096)])
  }
  const [large, small, largeAgain, smallAgain] = costs
  t.comment(`rows and pages: ${JSON.stringify(costs)}`)
  t.equal(large?.[0], small?.[0], 'rows')
  t.equal(largeAgain?.[0], smallAgain?.[0])
  t.ok(Math.max(...costs.map(([, pages]) => pages ?? 0)) < 40, 'pages')

  const event = JSON.parse(Buffer.from(message.data).toString()) as ConversationEvent
  const changes = [
    timelineProjection,
    inboxProjection,
    readStateProjection,
    rosterProjection,
    searchProjection,
  ].map(({ apply }) => apply({ stored: message, event }).length)
  t.same(changes, [1, 1, 0, 0, 1], 'changes')

  const views = openSqliteViews(path)
  t.match(await views.inbox.item(user(9_999), 'large'), { unread: 2, head: members + 2 })
  let counted = 0
  for (let cursor: string | undefined, first = true; first || cursor !== undefined; first = false) {
    const page = await views.roster.members('large', { limit: 200, ...(cursor ? { cursor } : {}) })
    counted += page.members.length
    cursor = page.cursor
  }
  t.equal(counted, members)
  db.close()
  views.close()
  await runner.stop()
  await stores.close()
})
