import fc from 'fast-check'
import t from 'tap'
import { RowWindow, windowRows } from '../../src/web/row-window.ts'
import type { Row } from '../../src/web/rows.ts'

/** Rows with `seq` from `first` to `last`, with a day before every tenth. */
const rowsOf = (first: number, last: number): Row[] =>
  Array.from({ length: Math.max(0, last - first + 1) }, (_, i) => first + i).flatMap(seq => {
    const notice = { kind: 'notice', key: `n${seq}`, seq, notice: {} } as Row
    return seq % 10 === 0 || seq === first
      ? [{ kind: 'day', key: `d${seq}`, seq, at: '2026-11-24T08:00:00.000Z' }, notice]
      : [notice]
  })

t.test('property: a bounded, contiguous part of the rows that reaches both ends', async () => {
  const move = fc.constantFrom('up', 'down', 'end', 'older', 'newer', 'show')
  fc.assert(
    fc.property(
      fc.integer({ min: 400, max: 900 }),
      fc.integer({ min: 0, max: 900 }),
      fc.array(move, { maxLength: 30 }),
      (first, more, moves) => {
        const view = new RowWindow()
        let from = first
        let to = first + more
        for (const step of moves) {
          if (step === 'up') view.up()
          else if (step === 'down') view.down()
          else if (step === 'end') view.toEnd()
          else if (step === 'older') from = Math.max(1, from - 50)
          else if (step === 'newer') to += 50
          const rows = rowsOf(from, to)
          const wanted = step === 'show' ? Math.floor(rows.length / 2) : -1
          const shown = view.of(rows, wanted)
          const start = rows.indexOf(shown.rows.at(-1)!) + 1
          const whole = rows.slice(Math.max(0, start - windowRows), start)
          const part = shown.rows.slice(-whole.length)
          if (shown.rows.length > windowRows + 1) return false
          if (rows.length >= windowRows && part.length < windowRows) return false
          if (part.some((row, i) => row.key !== whole[i]?.key)) return false
          if (shown.rows[0]?.kind !== 'day') return false
          if (wanted >= 0 && !shown.rows.some(row => row.key === rows[wanted]?.key)) return false
        }
        const rows = rowsOf(from, to)
        view.of(rows)
        for (let shown = view.of(rows); shown.before; shown = view.of(rows)) if (!view.up()) return false
        for (let shown = view.of(rows); shown.after; shown = view.of(rows)) if (!view.down()) return false
        return true
      },
    ),
  )
})

t.test('a window at the end follows new rows; another one stays where it is', async t => {
  const view = new RowWindow()
  const last = (rows: readonly Row[]) => rows.at(-1)?.seq
  t.equal(last(view.of(rowsOf(1, 1_000)).rows), 1_000)
  t.equal(last(view.of(rowsOf(1, 1_001)).rows), 1_001)
  t.ok(view.up())
  const before = view.of(rowsOf(1, 1_001))
  t.ok(before.after)
  t.same(view.of(rowsOf(1, 1_050)).rows, before.rows, 'rows at the end')
  t.same(
    view.of(rowsOf(-200, 1_050)).rows.map(({ seq }) => seq),
    before.rows.map(({ seq }) => seq),
    'rows at the start',
  )
  view.toEnd()
  t.equal(last(view.of(rowsOf(1, 1_050)).rows), 1_050)
})
