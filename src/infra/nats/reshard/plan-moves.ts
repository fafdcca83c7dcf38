import { type Family, partitionCount } from '../../../events/index.ts'

/** Partitions that move from a stream to one that is added. */
export interface PartitionMove {
  readonly from: string
  readonly to: string
  /** Ascending. */
  readonly partitions: readonly number[]
}

/** Returns the partitions of a family that a stream's subjects name. */
export const partitionsIn = (family: Family, subjects: readonly string[]): number[] => {
  const own = subjects
    .filter(subject => subject.startsWith(`${family}.`))
    .map(subject => subject.split('.')[1] as string)
  if (own.some(token => token === '*' || token === '>')) return [...Array(partitionCount).keys()]
  return own.map(Number).sort((one, other) => one - other)
}

/**
 * Plans how a family gets `count` streams. Each added stream takes its partitions from one stream, because it begins as
 * a mirror of it. The fullest streams give most. Returns no moves when the family has as many streams already.
 */
export const planMoves = (
  family: Family,
  streams: ReadonlyMap<string, readonly number[]>,
  count: number,
): PartitionMove[] => {
  const parts = new Map([...streams.keys()].map(stream => [stream, 1]))
  const shareOf = (stream: string): number => (streams.get(stream)?.length ?? 0) / (parts.get(stream) ?? 1)
  for (let added = streams.size; added < count; added++) {
    const [fullest] = [...streams.keys()].sort((one, other) => shareOf(other) - shareOf(one))
    if (fullest !== undefined) parts.set(fullest, (parts.get(fullest) ?? 1) + 1)
  }
  const moves: PartitionMove[] = []
  // Numbers ascend in the order in which streams are added: readers order the streams by them.
  let index = Math.max(...[...streams.keys()].map(indexOf))
  for (const [from, partitions] of streams) {
    const share = parts.get(from) ?? 1
    for (let part = 1; part < share; part++)
      moves.push({
        from,
        to: `${family.toUpperCase()}_${++index}`,
        partitions: partitions.filter((_, i) => i % share === part),
      })
  }
  return moves
}

/** Returns the number of a stream: 3 for CONV_3, 0 for a stream without a number. */
export const indexOf = (stream: string): number => Number(/_(\d{1,6})$/.exec(stream)?.[1] ?? 0)
