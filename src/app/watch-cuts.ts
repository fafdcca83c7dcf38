import { type Epochs, type LiveFeed, watchCuts } from '../commands/index.ts'
import { NatsError, NatsProblem } from '../infra/nats/index.ts'

/**
 * Calls `onStale` when the new home of a stream lacks events that this process has read. Its states, caches and cursors
 * may have them, so the process has to start again. Returns a function that ends the watch.
 */
export const watchLostEvents = (
  epochs: Epochs,
  feed: Pick<LiveFeed, 'position'>,
  onStale: (error: NatsError) => void,
): (() => void) =>
  watchCuts(epochs, (stream, streamSeq, epoch) => {
    // Events of the new home may arrive before the change of the layout is known.
    const position = feed.position(stream, epoch) ?? 0
    if (position > streamSeq)
      onStale(
        new NatsError(
          NatsProblem.streams,
          `${stream} has a new home, which continues after event ${streamSeq}, and this process has read events up to ${position}: it ends, and has to be started again`,
        ),
      )
  })
