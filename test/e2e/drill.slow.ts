import t from 'tap'
import { runDrill } from '../drill/drill.ts'
import { drillReport } from '../drill/report.ts'

t.test('a lost region: what clients acknowledged is in the log, or listed', { timeout: 240_000 }, async t => {
  const result = await runDrill(t, {
    delayMs: 5,
    senders: 4,
    pauseMs: 100,
    stretchMs: 1_000,
    onProgress: what => t.comment(what),
  })
  const { found, recovery, delays } = result
  t.equal(found.doubled, 0)
  t.ok(found.listed >= found.lost, 'all lost events are listed')
  t.ok(found.lost > 0, 'region a acknowledged messages after the cut, until its lease ended')
  t.ok(recovery.ms > 0)
  t.ok(delays.mirror.length > 0 && delays.oneWay.length > 0, 'delays were measured')
  const report = drillReport(result)
  t.match(report, /^\| messages doubled \| 0 \| 0 \|$/m)
  t.match(report, /^ +\d+ s {2}b /m, 'the plot shows acks of the new home')
})
