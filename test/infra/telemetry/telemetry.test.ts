import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import {
  createEdgeMetrics,
  createLogger,
  createProjectionMetrics,
  createRegistry,
} from '../../../src/infra/telemetry/index.ts'
import { tempFolder } from '../../harness/temp-folder.ts'

t.test('log lines are JSON without content, credentials and addresses', async t => {
  const destination = join(tempFolder(t), 'sub', 'confab.log')
  const logger = createLogger({ destination, fields: { node: 'a' } })
  logger.info(
    { session: 's1', text: 'a private word', headers: { authorization: 'Bearer let-me-in' } },
    'hello',
  )
  logger.warn({ request: { token: 'let-me-in', q: 'a private word', address: '192.0.2.7' } }, 'odd')
  logger.debug({}, 'not at this level')
  const written = readFileSync(destination, 'utf8')
  const lines = written
    .trim()
    .split('\n')
    .map(line => JSON.parse(line) as Record<string, unknown>)
  t.match(lines, [
    { msg: 'hello', session: 's1', node: 'a', text: '[redacted]', time: /^\d{4}-\d\d-\d\dT.*Z$/ },
    { msg: 'odd' },
  ])
  t.equal(lines.length, 2)
  t.notMatch(written, /private|let-me-in|192\.0\.2\.7/)
})

t.test('metrics of an edge node in the format of Prometheus', async t => {
  const registry = createRegistry()
  const metrics = createEdgeMetrics(registry, () => 4096)
  metrics.connected()
  metrics.connected()
  metrics.disconnected(4003)
  metrics.answered('send', 'ok', 0.0015)
  metrics.answered('send', 'NOT_MEMBER', 0.0004)
  metrics.delivered(3, 0.003, {} as never)
  metrics.delivered(1, -0.1, {} as never)
  metrics.delivered(1, 86_400, {} as never)
  metrics.answered('send', 'UNAVAILABLE', 3)
  metrics.dropped()
  metrics.resumed(7)
  const body = await registry.metrics()
  t.match(registry.contentType, /^text\/plain/)
  for (const line of [
    'confab_edge_connections 1',
    'confab_edge_disconnections_total{code="4003"} 1',
    'confab_edge_requests_total{type="send",outcome="ok"} 1',
    'confab_edge_requests_total{type="send",outcome="NOT_MEMBER"} 1',
    'confab_edge_request_seconds_bucket{le="0.0005",type="send"} 1',
    'confab_edge_request_seconds_count{type="send"} 2',
    'confab_edge_requests_total{type="send",outcome="UNAVAILABLE"} 1',
    'confab_edge_deliveries_total 5',
    'confab_edge_delivery_seconds_bucket{le="0.0005"} 1',
    'confab_edge_delivery_seconds_count 2',
    'confab_edge_dropped_total 1',
    'confab_edge_resumed_events_total 7',
    'confab_edge_buffered_bytes 4096',
  ])
    t.ok(body.split('\n').includes(line), line)
  t.match(body, /nodejs_eventloop_lag_p99_seconds/)
})

t.test('unknown close codes of clients share one series', async t => {
  const registry = createRegistry()
  const metrics = createEdgeMetrics(registry)
  for (let code = 1000; code < 5000; code++) {
    metrics.connected()
    metrics.disconnected(code)
  }
  const series = (await registry.metrics()).match(/^confab_edge_disconnections_total\{.*$/gm) ?? []
  t.ok(series.length < 20, `${series.length} series`)
  t.ok(series.some(line => line.includes('code="1006"')))
  t.ok(series.some(line => line.includes('code="other"')))
})

t.test('metrics of projections in the format of Prometheus', async t => {
  const registry = createRegistry()
  const stream = {
    stream: 'CONV_0',
    position: 90,
    head: 100,
    lagEvents: 10,
    aheadEvents: 3,
    missingEvents: 4,
    lagMs: 2500,
    deadLetters: 1,
    rate: 5,
  }
  let isDropped = false
  createProjectionMetrics(registry, () =>
    isDropped
      ? []
      : [
          {
            projection: 'search',
            generation: 2,
            version: 1,
            state: 'failing',
            streams: [{ ...stream, state: 'failing' }],
          },
          {
            projection: 'inbox',
            generation: 1,
            version: 2,
            state: 'live',
            streams: [{ ...stream, lagEvents: 0, lagMs: 0, state: 'live' }],
          },
          {
            projection: 'roster',
            generation: 1,
            version: 1,
            state: 'failing',
            reason: 'its database cannot be opened',
            streams: [],
          },
        ],
  )
  const lines = (await registry.metrics()).split('\n')
  for (const line of [
    'confab_projection_lag_events{projection="search",generation="2",stream="CONV_0"} 10',
    'confab_log_missing_events{stream="CONV_0"} 4',
    'confab_projection_ahead_events{projection="search",generation="2",stream="CONV_0"} 3',
    'confab_projection_lag_seconds{projection="search",generation="2",stream="CONV_0"} 2.5',
    'confab_projection_dead_letters{projection="search",generation="2",stream="CONV_0"} 1',
    'confab_projection_running{projection="search",generation="2",stream="CONV_0"} 0',
    'confab_projection_lag_events{projection="inbox",generation="1",stream="CONV_0"} 0',
    'confab_projection_running{projection="inbox",generation="1",stream="CONV_0"} 1',
    // An alert needs a sample for a view without a worker.
    'confab_projection_running{projection="roster",generation="1",stream=""} 0',
  ])
    t.ok(lines.includes(line), line)
  isDropped = true
  t.notMatch(await registry.metrics(), /generation=/, 'a dropped generation has no samples')
})
