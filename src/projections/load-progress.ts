import type { Feed } from './feed.ts'
import { Progress } from './progress.ts'
import type { RunnerOptions } from './runner.ts'

/** By stream, how far each projection has come. */
export type ProgressByStream = ReadonlyMap<string, ReadonlyMap<Feed, Progress>>

/**
 * Where projections go on, by their checkpoints. Rows of another version of a projection, or of another log (a checkpoint is beyond the stream's end), are
 * forgotten: the projection starts from the first event. Rejects when log or store can't be reached.
 */
export const loadProgress = async (
  feeds: readonly Feed[],
  { source, stores, log }: RunnerOptions,
): Promise<ProgressByStream> => {
  const streams = await source.streams()
  const ends = new Map(streams.map(({ stream, last }) => [stream, last]))
  const checkpoints = await stores.checkpoints.load()
  const now = performance.now()
  const progress = new Map(streams.map(({ stream }) => [stream, new Map<Feed, Progress>()]))
  for (const feed of feeds) {
    let own = checkpoints.filter(({ projection }) => projection === feed.name)
    const isOutdated = own.some(({ version }) => version !== feed.version)
    if (isOutdated || own.some(({ stream, streamSeq }) => streamSeq > (ends.get(stream) ?? streamSeq))) {
      const why = isOutdated ? 'its version changed' : 'the log is another one'
      log.info({ projection: feed.name, version: feed.version, why }, 'rebuilding a projection')
      await stores.atomically(async () => {
        await feed.clear()
        await stores.checkpoints.remove(feed.name)
      })
      own = []
    }
    for (const { stream, last } of streams) {
      const at = own.find(checkpoint => checkpoint.stream === stream)
      progress.get(stream)?.set(feed, new Progress(at?.streamSeq ?? 0, last, at?.deadLetters ?? 0, now))
    }
  }
  return progress
}
