import { setTimeout as sleep } from 'node:timers/promises'
import type { LiveFeed } from '../../src/commands/index.ts'
import { discoverLog, type InterestMode, type Nats, NatsLiveFeed } from '../../src/infra/nats/index.ts'

const longestMs = 10_000

/**
 * Opens a live feed with interest in these conversations; resolves when it has reached its mode. Rejects when it does
 * not.
 */
export const openFeed = async (
  nats: Nats,
  interest: InterestMode,
  wanted: readonly string[],
): Promise<LiveFeed> => {
  const feed = new NatsLiveFeed(nats, await discoverLog(nats.connection), { interest })
  const ids = new Set(wanted)
  // Like listeners: read the aggregate, and the envelope of events with interest.
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
    if (performance.now() > until) throw new Error('no digests arrive')
    await sleep(20)
  }
  return feed
}
