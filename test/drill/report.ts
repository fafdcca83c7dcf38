import { quantile } from './clock.ts'
import type { DrillResult } from './drill.ts'

const seconds = (ms: number): string => `${(ms / 1_000).toFixed(1)} s`
const millis = (ms: number): string => `${Math.round(ms).toLocaleString('en')} ms`
const count = (n: number): string => n.toLocaleString('en')

type Row = readonly [what: string, measured: string, limit: string]

const table = (head: Row, rows: readonly Row[]): string =>
  [head, ['---', '---:', '---'], ...rows].map(cells => `| ${cells.join(' | ')} |`).join('\n')

const rowsOf = ({ recovery, found, delays, rejoinMs, switchOver, ackedAfterCutMs }: DrillResult): Row[] => {
  const [p50, p99] = [0.5, 0.99].map(share => quantile(delays.mirror, share)) as [number, number]
  const oneWay = quantile(delays.oneWay, 0.5)
  return [
    ['recovery time: cut to first ack of b', seconds(recovery.ms), 'at most 10 s'],
    ...recovery.parts.map(({ name, ms }): Row => [`– ${name}`, seconds(ms), '']),
    ['acks of a after the cut, for', seconds(ackedAfterCutMs), 'lease: 3 s'],
    ['acknowledged messages', count(found.acked), ''],
    ['– of them lost', count(found.lost), ''],
    ['events listed as lost', count(found.listed), 'all that are lost'],
    ['messages doubled', count(found.doubled), '0'],
    ['rejoin of a', seconds(rejoinMs), ''],
    ['switch-over: writes refused', millis(switchOver.refusedMs), 'at most 1 s'],
    ['– longest time without any ack', millis(switchOver.pauseMs), 'at most 1 s'],
    ['one way between regions, p50', millis(oneWay), ''],
    ['mirror delay, p50', millis(p50), `${(p50 / oneWay).toFixed(1)} times one way`],
    ['mirror delay, p99', millis(p99), `${(p99 / oneWay).toFixed(1)} times one way; at most 3`],
  ]
}

const barLength = 30

/** Draws the acks of each region's commands nodes in each second, and what happened in it. */
const plot = ({ found: { acksOf }, moments }: DrillResult): string => {
  const start = moments[0]?.at ?? 0
  const length = Math.ceil(((moments.at(-1)?.at ?? start) - start) / 1_000)
  const perSecond = (acks: readonly { readonly at: number }[]): number[] => {
    const counts = Array.from({ length }, () => 0)
    for (const { at } of acks) {
      const second = Math.floor((at - start) / 1_000)
      if (counts[second] !== undefined) counts[second]++
    }
    return counts
  }
  const [a, b] = [perSecond(acksOf.a), perSecond(acksOf.b)]
  const most = Math.max(1, ...a, ...b)
  const lines = a.map((acksOfA, second) => {
    const acksOfB = b[second] ?? 0
    const region = acksOfA > 0 && acksOfB > 0 ? 'ab' : acksOfA > 0 ? 'a' : acksOfB > 0 ? 'b' : ''
    // The two regions take turns: one bar shows both.
    const bar = [
      ['█', acksOfA],
      ['▒', acksOfB],
    ] as const
    const drawn = bar.map(([sign, acks]) => sign.repeat(Math.round((acks / most) * barLength))).join('')
    const what = moments.filter(({ at }) => Math.floor((at - start) / 1_000) === second).map(one => one.what)
    return `${String(second).padStart(4)} s  ${region.padEnd(2)}  ${count(acksOfA + acksOfB).padStart(6)}  ${drawn.padEnd(barLength)}  ${what.join('; ')}`.trimEnd()
  })
  return ['second  home  acks', ...lines].join('\n')
}

/** Returns the report of a drill as Markdown. */
export const drillReport = (result: DrillResult): string => {
  const { delayMs, senders, pauseMs } = result.options
  return `# Drill of a lost region

Two regions and a witness on one machine, ${2 * delayMs} ms round trip between the regions. ${senders} clients in each region send,
${pauseMs} ms after each ack.

${table(['', 'measured', 'limit'], rowsOf(result))}

Acks in each second, of the commands nodes of a (█) and of b (▒):

\`\`\`
${plot(result)}
\`\`\`
`
}
