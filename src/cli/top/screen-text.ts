import { stripVTControlCharacters } from 'node:util'
import type { SystemState } from '../../app/ops/system-state.ts'
import { forecastText, rateText } from '../terminal/figures.ts'
import { bytes, type Column, count, span, styled, table } from '../terminal/output.ts'

const right = 'right' as const
/** Replaces control characters: names of other processes and of audit records must not change the terminal. */
const printable = (text: string): string => text.replaceAll(/\p{Cc}/gu, '\ufffd')

const shortened = (text: string, length: number): string => {
  const shown = printable(text)
  return shown.length <= length ? shown : `${shown.slice(0, length - 1)}…`
}

const section = <Row>(
  title: string,
  rows: readonly Row[] | undefined,
  columns: readonly Column[],
  cells: (row: Row) => readonly string[],
): string => {
  const head = styled('bold', title)
  if (rows === undefined) return `${head}\n${styled('dim', 'not available')}\n`
  if (rows.length === 0) return `${head}\n${styled('dim', 'none')}\n`
  return `${head}\n${table(columns, rows.map(cells))}`
}

const stateColours = {
  live: 'green',
  'catching-up': 'yellow',
  paused: 'yellow',
  failing: 'red',
  stopped: 'red',
} as const

/** Percentage of the events that are applied, rounded down: 100 % means all. */
export const percentOf = (applied: number, events: number): string =>
  events === 0 ? '100 %' : `${Math.min(100, Math.floor((applied / events) * 100))} %`

/** Returns the first characters of a line that are visible, with its styles. */
const cutLine = (line: string, width: number): string =>
  stripVTControlCharacters(line).length <= width
    ? line
    : `${stripVTControlCharacters(line).slice(0, width - 1)}…`

/** Returns the view as text. No line is wider than `width` columns, by default 80. */
export const screenText = (state: SystemState, width = 80): string => {
  const parts = [
    `${styled('bold', 'confab')}  ${styled('dim', `${state.at.slice(0, 19).replace('T', ' ')} UTC`)}\n`,
    section(
      'Streams',
      state.streams,
      [
        { title: 'stream' },
        { title: 'msgs/s', align: right },
        { title: 'messages', align: right },
        { title: 'size', align: right },
        { title: 'full in', align: right },
        { title: 'leader' },
      ],
      one => [
        shortened(one.stream, 16),
        rateText(one.rate),
        count(one.messages),
        bytes(one.bytes),
        forecastText(one.forecast),
        one.isLed ? shortened(one.leader ?? '–', 16) : styled('red', 'no leader'),
      ],
    ),
    section(
      'Edge nodes',
      state.edges,
      [{ title: 'process' }, { title: 'sockets', align: right }, { title: 'deliveries/s', align: right }],
      one => [shortened(one.process, 48), count(one.sockets), rateText(one.rate)],
    ),
    section(
      'Projections',
      state.projections,
      [
        { title: 'projection' },
        { title: 'generation', align: right },
        { title: 'state' },
        { title: 'applied', align: right },
        { title: 'behind', align: right },
        { title: 'lag', align: right },
        { title: 'events/s', align: right },
      ],
      one => [
        shortened(one.projection, 16),
        String(one.generation),
        styled(stateColours[one.state], one.state),
        percentOf(one.applied, one.events),
        count(one.lagEvents),
        one.lagEvents === 0 ? '0' : one.lagMs === 0 ? '–' : span(one.lagMs),
        rateText(one.rate),
      ],
    ),
    section(
      'Dead letters',
      state.deadLetters && Object.entries(state.deadLetters),
      [{ title: 'projection' }, { title: 'letters', align: right }],
      ([projection, letters]) => [shortened(projection, 40), styled('red', count(letters))],
    ),
    section(
      'Running operations',
      state.operations,
      [{ title: 'operation' }, { title: 'stream' }, { title: 'step' }, { title: 'since' }],
      one => [
        shortened(one.operation, 24),
        shortened(one.stream ?? '–', 16),
        shortened(one.step, 10),
        `${one.at.slice(0, 19)}Z`,
      ],
    ),
  ]
  return parts
    .join('\n')
    .split('\n')
    .map(line => cutLine(line, Math.max(width, 20)))
    .join('\n')
}
