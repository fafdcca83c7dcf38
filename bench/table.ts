import { styleText } from 'node:util'
import Table from 'cli-table3'
import { describeTarget, type Outcome } from './row.ts'

const number = (value: number | null): string => {
  if (value === null) return '–'
  if (Math.abs(value) >= 1000) return Math.round(value).toLocaleString('en')
  return Math.abs(value) >= 100 ? value.toFixed(0) : value.toFixed(2)
}

const styled = (style: 'green' | 'red' | 'dim', text: string): string =>
  styleText(style, text, { stream: process.stdout })

/** The outcomes for people: one line a figure, numbers to the right. */
export const drawTable = (outcomes: readonly Outcome[]): string => {
  const table = new Table({
    head: ['path', 'ours', 'limit', 'unit', 'ratio', 'target', ''],
    colAligns: ['left', 'right', 'right', 'left', 'right', 'right', 'left'],
    style: { head: [], border: process.stdout.isTTY ? ['gray'] : [] },
  })
  for (const { path, ours, limit, unit, ratio, target, rule, pass } of outcomes)
    table.push([
      path,
      number(ours),
      number(limit),
      unit,
      ratio === null ? '–' : ratio.toFixed(3),
      describeTarget({ rule, value: target }, unit),
      pass ? styled('green', 'ok') : styled('red', 'short'),
    ])
  return table.toString()
}
