import t from 'tap'
import type { LiveFeed } from '../../src/commands/index.ts'
import { ViewFreshness, ViewPositions } from '../../src/edge/access/view-freshness.ts'
import type { StreamPosition } from '../../src/events/index.ts'
import type { Views } from '../../src/projections/index.ts'

const at = (conv: number, user: number): StreamPosition[] => [
  { family: 'conv', stream: 'REGION_A_0', streamSeq: conv },
  { family: 'user', stream: 'REGION_A_1', streamSeq: user },
]

/** The feed has delivered 5 and 5; the views are at `positions`. */
const reached = (query: 'inbox' | 'members' | 'search', positions: Record<string, StreamPosition[]>) => {
  const feed = { positions: () => at(5, 5) } as unknown as LiveFeed
  const views = { positions: async (name: string) => positions[name] ?? at(5, 5) } as unknown as Views
  return new ViewFreshness(new ViewPositions(views), feed).reached(query, 20)
}

t.test('a query waits for the views that it reads, and for no other', async t => {
  t.equal(await reached('inbox', {}), true)
  t.equal(await reached('inbox', { inbox: at(4, 5) }), false, 'a message is missing')
  t.equal(await reached('inbox', { inbox: at(5, 4) }), false, 'a marker is missing')
  t.equal(await reached('inbox', { 'read-state': at(0, 0) }), true, 'the inbox has its own markers')
  t.equal(await reached('members', { roster: at(4, 5) }), false)
  t.equal(await reached('members', { roster: at(5, 0) }), true)
  t.equal(await reached('members', { 'read-state': at(5, 4) }), false)
  t.equal(await reached('members', { 'read-state': at(0, 5) }), true)
  t.equal(await reached('search', { search: at(4, 5) }), false)
  t.equal(await reached('search', { search: at(5, 0) }), true)
})
