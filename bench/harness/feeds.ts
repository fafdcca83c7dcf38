import { setTimeout as sleep } from 'node:timers/promises'
import type { LiveEvent } from '../../src/commands/index.ts'
import {
  discoverLog,
  type InterestMode,
  type Nats,
  NatsLiveFeed,
  NatsSignals,
} from '../../src/infra/nats/index.ts'

const longestMs = 10_000

/** The conversations and users that the clients of a process need. */
export interface BenchInterest {
  readonly conversations: readonly string[]
  readonly users: readonly string[]
}

const field = Buffer.from('"c":"')

/** The conversation in the body of a mark, as the edge finds it. */
const conversationIn = (body: Uint8Array): string => {
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength)
  const start = bytes.indexOf(field) + field.length
  return bytes.toString('latin1', start, bytes.indexOf(0x22, start))
}

/**
 * A live feed and signals, without an edge, of a process with these interests, once the feed has the mode. Rejects when
 * no digests arrive.
 */
export const openFeed = async (
  nats: Nats,
  interest: InterestMode,
  { conversations, users }: BenchInterest,
): Promise<NatsLiveFeed> => {
  const layout = await discoverLog(nats.connection)
  const signals = new NatsSignals(nats)
  const feed = new NatsLiveFeed(nats, layout, { interest, signals })
  const needed = new Set(conversations)
  const here = new Set(users)
  const isNeeded = ({ aggregate: { family, id }, data }: LiveEvent): boolean =>
    family === 'conv' ? needed.has(id) : here.has(id) || needed.has(conversationIn(data))
  // As the listeners of an edge: to which client the event belongs, and the envelope of those it needs.
  feed.listen(
    event => void (isNeeded(event) && event.envelope.seq),
    () => {},
  )
  feed.narrowTo({
    needsConversation: c => needed.has(c),
    needsMarkers: (user, c) => here.has(user) || needed.has(c),
    conversations: () => needed,
    watch: () => {},
  })
  signals.listen(() => {}, {
    needs: id => needed.has(id) || here.has(id),
    ids: () => [...needed, ...here],
    watch: () => {},
  })
  await feed.start()
  for (
    const until = performance.now() + longestMs;
    interest === 'conversations' && !(feed.followed.isNarrow && signals.isNarrow);
  ) {
    if (performance.now() > until) throw new Error('no digests arrived')
    await sleep(20)
  }
  return feed
}
