import { isDeepStrictEqual } from 'node:util'
import { newestPromises, type Promises, type RegionPromises, writePromises } from './promises.ts'
import { NoMajorityError, type RegionJournal } from './region-journal.ts'

/**
 * Writes the new home of all streams of an operation in a majority of the regions. The journal knows the epoch before.
 * May be repeated. `needed`: the number of regions that are a majority. Throws NatsError, OperationRunningError,
 * NoMajorityError.
 */
export const raisePromises = async (
  journal: RegionJournal,
  regions: readonly RegionPromises[],
  needed: number,
): Promise<void> => {
  const { streams, to, fenced = [], usedEpoch } = journal.current
  const newest = newestPromises(regions)
  const isRaised = streams.every(stream => {
    const { epoch, home } = newest.streams[stream] ?? {}
    return epoch !== undefined && epoch === journal.current.epoch && home === to
  })
  let { epoch } = journal.current
  // Other promises may have taken the number of this operation.
  if (epoch === undefined || (!isRaised && newest.counter >= epoch)) {
    const next = Math.max(newest.counter, usedEpoch) + 1
    const replaced = streams.flatMap(stream => {
      const promise = newest.streams[stream]
      return promise === undefined ? [] : [[stream, promise] as const]
    })
    await journal.record(({ before }) => ({
      epoch: next,
      before: { ...Object.fromEntries(replaced), ...before },
    }))
    epoch = next
  }
  const off = [...new Set([...(newest.fenced ?? []), ...fenced])]
  const raised = Object.fromEntries(streams.map(stream => [stream, { epoch, home: to }]))
  const promises: Promises = {
    ...newest,
    streams: { ...newest.streams, ...raised },
    ...(off.length === 0 ? {} : { fenced: off }),
  }
  const isRival = regions.some(
    ({ stored: { value } }) => value?.counter === newest.counter && !isDeepStrictEqual(value, newest),
  )
  const counter =
    isRival || !isDeepStrictEqual(promises, newest) ? Math.max(newest.counter + 1, epoch) : newest.counter
  const written = await writePromises(regions, { ...promises, counter })
  if (written.length < needed)
    throw new NoMajorityError(`${written.length} of ${needed} regions that are needed have the new promise`)
}
