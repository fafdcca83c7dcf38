import { element } from './element.ts'
import type { State } from './state.ts'

const whole = new Intl.NumberFormat('en-GB', { maximumFractionDigits: 0 })
const tenths = new Intl.NumberFormat('en-GB', { minimumFractionDigits: 1, maximumFractionDigits: 1 })
/** Days to a limit within which an operator has to act. */
const alarmingDays = 7

interface Cell {
  readonly text: string
  readonly isAlarm?: boolean
}

interface Column<Row> {
  readonly title: string
  readonly cell: (row: Row) => string | Cell
  readonly isNumber?: boolean
  /** Left out on narrow screens. */
  readonly isWide?: boolean
}

const rateText = (rate: number | undefined): string =>
  rate === undefined ? '–' : rate < 10 ? tenths.format(rate) : whole.format(rate)

const bytesText = (size: number): string => {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  const unit = Math.min(units.length - 1, size < 1 ? 0 : Math.floor(Math.log2(size) / 10))
  return `${(unit === 0 ? whole : tenths).format(size / 1024 ** unit)} ${units[unit]}`
}

const forecastCell = (days: number | undefined): Cell => ({
  text:
    days === undefined
      ? '–'
      : days >= 3_650
        ? '> 10 years'
        : `${(days < 10 ? tenths : whole).format(days)} days`,
  isAlarm: days !== undefined && days < alarmingDays,
})

const percentText = (applied: number, events: number): string =>
  events === 0 ? '100 %' : `${Math.min(100, Math.floor((applied / events) * 100))} %`

const tableOf = <Row>(
  title: string,
  rows: readonly Row[] | undefined,
  columns: readonly Column<Row>[],
): HTMLElement => {
  if (rows === undefined || rows.length === 0) {
    const text = rows === undefined ? 'Not available from this process.' : 'None.'
    return element(
      'section',
      { class: 'panel' },
      element('h2', {}, title),
      element('p', { class: 'empty' }, text),
    )
  }
  const classOf = ({ isNumber, isWide }: Column<Row>): string =>
    `${isNumber ? 'number' : ''} ${isWide ? 'wide' : ''}`.trim()
  const head = columns.map(one => element('th', { scope: 'col', class: classOf(one) }, one.title))
  const lines = rows.map(row =>
    element(
      'tr',
      {},
      ...columns.map((one, index) => {
        const cell = one.cell(row)
        const { text, isAlarm = false } = typeof cell === 'string' ? { text: cell } : cell
        const attributes = { class: `${classOf(one)} ${isAlarm ? 'alarm' : ''}`.trim() }
        return index === 0
          ? element('th', { ...attributes, scope: 'row' }, text)
          : element('td', attributes, text)
      }),
    ),
  )
  const table = element(
    'table',
    {},
    element('caption', {}, title),
    element('thead', {}, element('tr', {}, ...head)),
    element('tbody', {}, ...lines),
  )
  return element(
    'section',
    { class: 'panel' },
    element('div', { class: 'scroll', tabindex: '0', role: 'group', 'aria-label': title }, table),
  )
}

/** Returns the tables of a state, each with a caption. */
export const tablesOf = (state: State): HTMLElement[] => [
  tableOf('Streams', state.streams, [
    { title: 'Stream', cell: one => one.stream },
    { title: 'Messages/s', isNumber: true, cell: one => rateText(one.rate) },
    { title: 'Messages', isNumber: true, isWide: true, cell: one => whole.format(one.messages) },
    { title: 'Size', isNumber: true, isWide: true, cell: one => bytesText(one.bytes) },
    { title: 'Full in', isNumber: true, cell: one => forecastCell(one.forecast?.days) },
    {
      title: 'Leader',
      isWide: true,
      cell: one => ({ text: one.isLed ? (one.leader ?? '–') : 'No leader', isAlarm: !one.isLed }),
    },
  ]),
  tableOf('Edge nodes', state.edges, [
    { title: 'Process', cell: one => one.process },
    { title: 'Sockets', isNumber: true, cell: one => whole.format(one.sockets) },
    { title: 'Deliveries/s', isNumber: true, cell: one => rateText(one.rate) },
  ]),
  tableOf('Projections', state.projections, [
    { title: 'Projection', cell: one => `${one.projection} ${one.generation}` },
    {
      title: 'State',
      cell: one => ({ text: one.state, isAlarm: one.state === 'failing' || one.state === 'stopped' }),
    },
    { title: 'Applied', isNumber: true, cell: one => percentText(one.applied, one.events) },
    { title: 'Behind', isNumber: true, cell: one => whole.format(one.lagEvents) },
    { title: 'Events/s', isNumber: true, isWide: true, cell: one => rateText(one.rate) },
  ]),
  tableOf('Dead letters', state.deadLetters && Object.entries(state.deadLetters), [
    { title: 'Projection', cell: ([projection]) => projection },
    {
      title: 'Letters',
      isNumber: true,
      cell: ([, letters]) => ({ text: whole.format(letters), isAlarm: true }),
    },
  ]),
  tableOf('Running operations', state.operations, [
    { title: 'Operation', cell: one => one.operation },
    { title: 'Stream', isWide: true, cell: one => one.stream ?? '–' },
    { title: 'Step', cell: one => one.step },
    { title: 'Since (UTC)', cell: one => one.at.slice(0, 19).replace('T', ' ') },
  ]),
]
