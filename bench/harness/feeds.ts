import { setTimeout as sleep } from 'node:timers/promises'
import type { LiveFeed } from '../../src/commands/index.ts'
import { discoverLog, type InterestMode, type Nats, NatsLiveFeed } from '../../src/infra/nats/index.ts'

const longestMs = 10_000

/** A live feed alone, of a process that wants these conversations, once it follows what it is to. Rejects when it does not come to. */
export const openFeed = async (
  nats: Nats,
  interest: InterestMode,
  wanted: readonly string[],
): Promise<LiveFeed> => {
  const feed = new NatsLiveFeed(nats, await discoverLog(nats.connection), { interest })
  const ids = new Set(wanted)
  // As listeners do: whose it is, and for what is wanted the envelope.
  feed.listen(
    event => void (ids.has(event.aggregate.id) && event.envelope.seq),
    () => {},
  )
  feed.narrowTo({ wants: c => ids.has(c), conversations: () => ids, watch: () => {} })
  await feed.start()
  for (
    const until = performance.now() + longestMs;
    interest === 'conversations' && !feed.followed.isNarrow;
  ) {
    if (performance.now() > until) throw new Error('no digests come')
    await sleep(20)
  }
  return feed
}
