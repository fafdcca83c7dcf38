import type { ProjectionName, ViewStores } from '../projections/index.ts'

/** Counts stored batches of views. The projections' thread and the main thread share its memory. */
export const createBatchCounter = (): SharedArrayBuffer => new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT)

/**
 * Returns the stores with a counter: it is raised after each stored batch, and threads that wait for it are notified.
 */
export const withBatchCounter = (stores: ViewStores, counter: SharedArrayBuffer): ViewStores => {
  const cell = new Int32Array(counter)
  return {
    ...stores,
    atomically: async work => {
      await stores.atomically(work)
      Atomics.add(cell, 0, 1)
      Atomics.notify(cell, 0)
    },
  }
}

/** Changes of the views whose stores raise a counter in another thread. */
export const changesByCounter = (counter: SharedArrayBuffer, projections: readonly ProjectionName[]) => {
  const cell = new Int32Array(counter)
  return {
    covers: (projection: ProjectionName): boolean => projections.includes(projection),
    version: (): number => Atomics.load(cell, 0),
    after: async (version: number, ms: number): Promise<void> => {
      await Atomics.waitAsync(cell, 0, version, ms).value
    },
  }
}
