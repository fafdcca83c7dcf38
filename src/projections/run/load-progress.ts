import type { Checkpoint } from '../ports/stores.ts'
import type { ProjectionTarget } from './projection-target.ts'
import type { RunnerOptions } from './runner-options.ts'

/** The last sequence of each stream. */
export type StreamEnds = ReadonlyMap<string, number>

/**
 * Loads the checkpoints that targets continue from, and the streams' ends. Rows of another version of a projection,
 * or of another log (a checkpoint beyond the stream's end), are deleted, and the projection starts from the first
 * event. Rejects when the store cannot be reached.
 */
export const loadCheckpoints = async (
  feeds: readonly ProjectionTarget[],
  readEnds: () => Promise<StreamEnds>,
  { stores, log }: RunnerOptions,
): Promise<{ loaded: Map<ProjectionTarget, readonly Checkpoint[]>; ends: StreamEnds }> => {
  const checkpoints = await stores.checkpoints.load()
  // Read the ends after the checkpoints: other workers advance meanwhile, and a checkpoint beyond older ends would look
  // like another log.
  const ends = await readEnds()
  const found = new Map<ProjectionTarget, readonly Checkpoint[]>()
  for (const feed of feeds) {
    const { name: projection, generation, version } = feed
    const own = checkpoints.filter(one => one.projection === projection && one.generation === generation)
    const isOutdated = own.some(one => one.version !== version)
    const isOfAnotherLog = own.some(({ stream, streamSeq }) => streamSeq > (ends.get(stream) ?? streamSeq))
    if (!isOutdated && !isOfAnotherLog) {
      found.set(feed, own)
      continue
    }
    const why = isOutdated ? 'its version changed' : 'its checkpoint belongs to another log'
    log.info({ projection, generation, version, why }, 'rebuilding a projection')
    await stores.atomically(async () => {
      await feed.clear()
      await stores.checkpoints.remove(projection, generation)
    })
    found.set(feed, [])
  }
  return { loaded: found, ends }
}
