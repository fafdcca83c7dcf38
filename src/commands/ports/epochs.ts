/** Where a stream was continued after its home changed. Events that only the former home had after it are lost. */
export interface Cut {
  /** The epoch that began after `streamSeq`. */
  readonly epoch: number
  readonly streamSeq: number
}

/**
 * The epochs of the log's streams. An epoch begins when the home of a stream changes; one counter numbers the epochs of
 * all streams. Port; the adapter is the layout of the log.
 */
export interface Epochs {
  readonly streams: readonly string[]
  /** The current epoch of a stream, from 1. */
  epochOf(stream: string): number
  /** The cuts of a stream, ascending. None in a system of one region. */
  cutsOf(stream: string): readonly Cut[]
  /** Calls `listener` after each change. Returns a function that removes the listener. */
  watch(listener: () => void): () => void
}

/** The epochs of a system whose streams never change their homes. */
export const oneEpoch: Epochs = {
  streams: [],
  epochOf: () => 1,
  cutsOf: () => [],
  watch: () => () => {},
}

/** Returns the greatest epoch of the streams. */
export const currentEpoch = (epochs: Epochs): number => {
  let greatest = 1
  for (const stream of epochs.streams) greatest = Math.max(greatest, epochs.epochOf(stream))
  return greatest
}

/**
 * Returns the last stream sequence that every later epoch has kept of the events of `epoch` and before. Infinity: all
 * are kept.
 */
export const keptUpTo = (cuts: readonly Cut[], epoch: number): number => {
  let kept = Number.POSITIVE_INFINITY
  for (const cut of cuts) if (cut.epoch > epoch) kept = Math.min(kept, cut.streamSeq)
  return kept
}

/**
 * Calls `onCut` when the epoch of a stream rises: events after `streamSeq` that this process knows may be lost. Returns
 * a function that ends the watch.
 */
export const watchCuts = (
  epochs: Epochs,
  onCut: (stream: string, streamSeq: number) => void,
): (() => void) => {
  const known = new Map(epochs.streams.map(stream => [stream, epochs.epochOf(stream)]))
  return epochs.watch(() => {
    for (const stream of epochs.streams) {
      const epoch = epochs.epochOf(stream)
      const before = known.get(stream) ?? epoch
      if (epoch < before) continue
      known.set(stream, epoch)
      const streamSeq = keptUpTo(epochs.cutsOf(stream), before)
      if (epoch > before && streamSeq < Number.POSITIVE_INFINITY) onCut(stream, streamSeq)
    }
  })
}
