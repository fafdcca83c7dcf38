import type { Checkpoint } from '../ports/stores.ts'
import type { ProjectionTarget } from './projection-target.ts'
import type { RunnerOptions } from './runner-options.ts'

/** The ends of all streams, by stream. */
export type StreamEnds = ReadonlyMap<string, number>

/**
 * The checkpoints that feeds go on from, with the streams' ends as they were then. Rows of another version of a projection, or of another log (a checkpoint is beyond the stream's end), are forgotten:
 * the projection starts from the first event. Rejects when the store can't be reached.
 */
export const loadCheckpoints = async (
  feeds: readonly ProjectionTarget[],
  readEnds: () => Promise<StreamEnds>,
  { stores, log }: RunnerOptions,
): Promise<{ loaded: Map<ProjectionTarget, readonly Checkpoint[]>; ends: StreamEnds }> => {
  const checkpoints = await stores.checkpoints.load()
  // Afterwards: other workers go on meanwhile, and a checkpoint of theirs that is newer than the ends would look like one of another log.
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
    const why = isOutdated ? 'its version changed' : 'the log is another one'
    log.info({ projection, generation, version, why }, 'rebuilding a projection')
    await stores.atomically(async () => {
      await feed.clear()
      await stores.checkpoints.remove(projection, generation)
    })
    found.set(feed, [])
  }
  return { loaded: found, ends }
}
