import { type KV, Kvm } from '@nats-io/kv'
import type { LiveFeed } from '../../commands/index.ts'
import type { Position } from '../../events/index.ts'
import type { Nats } from '../../infra/nats/index.ts'
import type { SourcePosition } from './import-item.ts'

/** Checkpoints of imported files, stored in JetStream: backup, restore and deletion include them and the log. */
export interface Checkpoints {
  load(key: string): Promise<SourcePosition | undefined>
  save(key: string, position: SourcePosition): Promise<void>
}

interface Entry extends SourcePosition {
  /** Positions of the log when the checkpoint was saved. If the log is shorter now, it is another log. */
  readonly log: readonly Position[]
}

const bucket = 'confab-imports'

/** Opens the checkpoints in a key-value bucket of JetStream. */
export const openCheckpoints = async (
  nats: Nats,
  feed: Pick<LiveFeed, 'positions'>,
): Promise<Checkpoints> => {
  const started = feed.positions()
  const kv: KV = await new Kvm(nats.connection).create(bucket, { history: 1 })
  return {
    load: async key => {
      const found = await kv.get(key)
      if (found === null || found.operation !== 'PUT') return undefined
      const { log, bytes, lines, digest } = found.json<Entry>()
      // By order: a promoted mirror has another name than its origin, and the same sequences.
      const isOfThisLog =
        log.length === started.length &&
        log.every(({ streamSeq }, i) => streamSeq <= (started[i]?.streamSeq ?? 0))
      return isOfThisLog ? { bytes, lines, digest } : undefined
    },
    save: async (key, position) => {
      const entry: Entry = { ...position, log: feed.positions() }
      await kv.put(key, JSON.stringify(entry))
    },
  }
}
