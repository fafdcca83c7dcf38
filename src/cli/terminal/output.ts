import { once } from 'node:events'
import { styleText } from 'node:util'
import Table from 'cli-table3'
import { redact } from '../../base/redact.ts'

/** Writes the result of a command to stdout. */
export const print = async (text: string | Uint8Array): Promise<void> => {
  if (!process.stdout.write(text)) await once(process.stdout, 'drain')
}

/** Writes progress, notes and errors to stderr, without the secrets of this process. */
export const note = (text: string): void => {
  process.stderr.write(`${redact(text)}\n`)
}

/** Width of help texts: that of the terminal, within bounds that read well. */
export const helpWidth = (): number => Math.min(Math.max(process.stdout.columns ?? 120, 80), 120)

type Style = Parameters<typeof styleText>[0]

/** Returns styled text for a terminal with colours. In a pipe, in a file and with NO_COLOR the text is plain. */
export const styled = (style: Style, text: string, stream: NodeJS.WriteStream = process.stdout): string =>
  styleText(style, text, { stream })

export interface Column {
  readonly title: string
  readonly align?: 'left' | 'right'
}

/** Returns a table without lines, which `awk` can read. */
export const table = (
  columns: readonly Column[],
  rows: readonly (readonly (string | number)[])[],
): string => {
  const blank = { left: '', right: '', top: '', bottom: '', mid: '' }
  const drawn = new Table({
    head: columns.map(column => styled('dim', column.title)),
    colAligns: columns.map(column => column.align ?? 'left'),
    chars: {
      ...blank,
      middle: '  ',
      'top-mid': '',
      'top-left': '',
      'top-right': '',
      'bottom-mid': '',
      'bottom-left': '',
      'bottom-right': '',
      'left-mid': '',
      'mid-mid': '',
      'right-mid': '',
    },
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0 },
  })
  drawn.push(...rows.map(row => row.map(String)))
  return `${drawn
    .toString()
    .split('\n')
    .map(line => line.trimEnd())
    .join('\n')}\n`
}

const whole = new Intl.NumberFormat('en-GB')

/** `12,345`. */
export const count = (value: number): string => whole.format(value)

/** `12.3 MiB`. */
export const bytes = (value: number): string => {
  let unit = 0
  let amount = value
  for (; amount >= 1024 && unit < 4; unit++) amount /= 1024
  return `${unit === 0 ? amount : amount.toFixed(1)} ${['B', 'KiB', 'MiB', 'GiB', 'TiB'][unit]}`
}

/** `1 h 02 min`, `3 min 20 s`, `4.2 s`. */
export const span = (ms: number): string => {
  const seconds = ms / 1000
  if (seconds < 10) return `${seconds.toFixed(1)} s`
  if (seconds < 60) return `${Math.round(seconds)} s`
  const minutes = Math.floor(seconds / 60)
  if (minutes < 60) return `${minutes} min ${String(Math.round(seconds % 60)).padStart(2, '0')} s`
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, '0')} min`
}
