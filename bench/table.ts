import { styleText } from 'node:util'
import Table from 'cli-table3'
import { describeTarget, type Outcome } from './row.ts'

const number = (value: number | null): string => {
  if (value === null || Number.isNaN(value)) return '–'
  if (Math.abs(value) >= 1000) return Math.round(value).toLocaleString('en')
  return Math.abs(value) >= 100 ? value.toFixed(0) : value.toFixed(2)
}

const styled = (style: 'green' | 'red' | 'dim', text: string): string =>
  styleText(style, text, { stream: process.stdout })

const verdict = (pass: boolean | null): string => {
  if (pass === null) return ''
  return pass ? styled('green', 'ok') : styled('red', 'short')
}

/** Draws the outcomes as a table: one line per figure, numbers right-aligned, peers between confab and the limit. */
export const drawTable = (outcomes: readonly Outcome[]): string => {
  const peers = [...new Set(outcomes.flatMap(({ beside = {} }) => Object.keys(beside)))]
  const table = new Table({
    head: ['path', 'ours', ...peers, 'limit', 'unit', 'ratio', 'target', ''],
    colAligns: [
      'left',
      'right',
      ...peers.map(() => 'right' as const),
      'right',
      'left',
      'right',
      'right',
      'left',
    ],
    style: { head: [], border: process.stdout.isTTY ? ['gray'] : [] },
  })
  for (const { path, ours, limit, unit, ratio, target, rule, pass, beside } of outcomes)
    table.push([
      path,
      number(ours),
      ...peers.map(name => number(beside?.[name] ?? null)),
      number(limit),
      unit,
      ratio === null ? '–' : ratio.toFixed(3),
      describeTarget({ rule, target }, unit),
      verdict(pass),
    ])
  return table.toString()
}
