import { type Context, holds, type Outcome, type Row, type Sample } from './row.ts'

const median = (samples: readonly number[]): number => {
  const sorted = [...samples].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

const mean = (samples: readonly Sample[]): Sample =>
  samples[0]!.map((_, index) => samples.reduce((sum, sample) => sum + sample[index]!, 0) / samples.length)

/**
 * Measures a row: confab and its limit in turns, so that other load of the machine affects both; returns medians of
 * the rounds. The first turn of each is a warm-up. Rejects when a side fails, for example when a delivery was
 * missing.
 */
export const measure = async (
  row: Row,
  wanted: number,
  { quick, tell }: Pick<Context, 'quick' | 'tell'>,
): Promise<Outcome[]> => {
  const rounds = Math.min(wanted, row.mostRounds ?? wanted)
  const ends: (() => unknown)[] = []
  const ours: Sample[] = []
  const limits: Sample[] = []
  const beside = new Map<string, Sample[]>()
  const show = (sample: Sample) => sample.map(value => value.toPrecision(4)).join(' · ')
  try {
    const sides = await row.prepare({ quick, tell, defer: end => ends.push(end) })
    for (let round = 0; round <= rounds; round++) {
      const isWarmUp = round === 0
      const owns: Sample[] = []
      const others: Sample[] = []
      const peers = Object.entries(sides.beside ?? {}).map(([name, side]) => ({
        name,
        side,
        samples: [] as Sample[],
      }))
      for (let turn = 0; turn < (isWarmUp ? 1 : (row.turns ?? 1)); turn++) {
        owns.push(await sides.ours())
        if (sides.limit !== undefined) others.push(await sides.limit())
        for (const { side, samples } of peers) samples.push(await side())
      }
      const own = mean(owns)
      const limit = others.length === 0 ? undefined : mean(others)
      const shown = [
        `ours ${show(own)}`,
        ...(limit === undefined ? [] : [`limit ${show(limit)}`]),
        ...peers.map(({ name, samples }) => `${name} ${show(mean(samples))}`),
      ]
      tell(`${isWarmUp ? 'warm-up' : `round ${round}`}: ${shown.join(', ')}`)
      if (isWarmUp) continue
      ours.push(own)
      if (limit !== undefined) limits.push(limit)
      for (const { name, samples } of peers) beside.set(name, [...(beside.get(name) ?? []), mean(samples)])
    }
  } finally {
    for (const end of ends.reverse()) await end()
  }
  return row.figures.map(({ path, unit, target }, index) => {
    const middle = (samples: readonly Sample[]) => median(samples.map(sample => sample[index]!))
    const own = middle(ours)
    const peers = Object.fromEntries([...beside].map(([name, samples]) => [name, middle(samples)]))
    const named = target.rule === 'ratio at least' && target.to !== undefined ? peers[target.to] : undefined
    const measured = named ?? (limits.length === 0 ? Number.NaN : middle(limits))
    // A limit may not apply to one of the figures.
    const limit = Number.isNaN(measured) ? null : measured
    return {
      path,
      ours: own,
      limit,
      unit,
      ratio: limit === null ? null : own / limit,
      target: target.value ?? null,
      pass: holds(target, own, limit),
      rule: target.rule,
      ...(beside.size === 0 ? {} : { beside: peers }),
    }
  })
}
