import { Counter, Gauge, Histogram, type Registry } from 'prom-client'
import type { EdgeMetrics } from '../../edge/ports/edge-metrics.ts'
import { CloseCode, type ErrorCode, ErrorRegistry } from '../../events/index.ts'
import { createPresenceMetrics } from './presence-metrics.ts'

/** Seconds; an ack takes one to a few milliseconds where nothing is wrong. */
const latencyBuckets = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10]

/** A client may close with any code it likes; a series is made of those that mean something here: the protocol's, and what the transport says. */
const closeCodes: ReadonlySet<number> = new Set([1000, 1005, 1006, ...Object.values(CloseCode)])

/** An event that is older when it comes was brought in with times of its own: that says nothing of delivery. */
const importedFromSeconds = 600

/** Whether a request failed by our doing. Those have no time of their own: an objective takes them for slow ones. */
const isFailure = (outcome: string): boolean =>
  outcome in ErrorRegistry && ErrorRegistry[outcome as ErrorCode].status >= 500

const memo = <V>(make: (key: string) => V): ((key: string) => V) => {
  const made = new Map<string, V>()
  return key => {
    const known = made.get(key)
    if (known !== undefined) return known
    const value = make(key)
    made.set(key, value)
    return value
  }
}

/** What the edge counts, in a registry of Prometheus' client. `buffered` says how many bytes wait for slow sockets, when it is asked. */
export const createEdgeMetrics = (registry: Registry, buffered?: () => number): EdgeMetrics => {
  const registers = [registry]
  const connections = new Gauge({ name: 'confab_edge_connections', help: 'Open sockets', registers })
  const closed = new Counter({
    name: 'confab_edge_disconnections_total',
    help: 'Sockets that closed, by close code',
    labelNames: ['code'],
    registers,
  })
  const requests = new Counter({
    name: 'confab_edge_requests_total',
    help: 'Requests that were answered, by type and outcome: ok, or the code of the error',
    labelNames: ['type', 'outcome'],
    registers,
  })
  const latency = new Histogram({
    name: 'confab_edge_request_seconds',
    help: 'From a request to its answer, seconds, by type; of those that did not fail by our doing (status 500 and above)',
    labelNames: ['type'],
    buckets: latencyBuckets,
    registers,
  })
  const deliveries = new Counter({
    name: 'confab_edge_deliveries_total',
    help: 'Live events that went to local sockets, once a socket',
    registers,
  })
  const delivery = new Histogram({
    name: 'confab_edge_delivery_seconds',
    help: 'From an event being decided to its going to local sockets live, seconds, once a node; clocks of nodes differ',
    buckets: latencyBuckets,
    registers,
  })
  const dropped = new Counter({
    name: 'confab_edge_dropped_total',
    help: 'Frames that were not sent because the socket was too slow; it is closed for it',
    registers,
  })
  const behind = new Counter({
    name: 'confab_edge_behind_total',
    help: 'Times that a socket was too slow for what is live, and was sent what it missed when it had room',
    registers,
  })
  const limited = new Counter({
    name: 'confab_edge_limited_total',
    help: 'What a bound of the edge has refused or closed, by limit',
    labelNames: ['limit'],
    registers,
  })
  const resumed = new Counter({
    name: 'confab_edge_resumed_events_total',
    help: 'Missed events that were sent on resume and sync',
    registers,
  })
  const resumeReads = new Counter({
    name: 'confab_edge_resume_reads_total',
    help: 'Reads of the timeline and the log for missed events',
    registers,
  })
  const resumeShared = new Counter({
    name: 'confab_edge_resume_shared_total',
    help: 'Times that missed events were had without a read of their own',
    registers,
  })
  const presence = createPresenceMetrics(registry)
  if (buffered !== undefined)
    new Gauge({
      name: 'confab_edge_buffered_bytes',
      help: 'Bytes that wait for slow sockets',
      registers,
      collect() {
        this.set(buffered())
      },
    })

  // Looking a label set up costs more than counting: each is looked up once.
  const counterOf = memo((key: string) => requests.labels(...(key.split(' ') as [string, string])))
  const timerOf = memo((type: string) => latency.labels(type))

  return {
    connected: () => connections.inc(),
    disconnected: code => {
      connections.dec()
      closed.inc({ code: closeCodes.has(code) ? String(code) : 'other' })
    },
    answered: (type, outcome, seconds) => {
      counterOf(`${type} ${outcome}`).inc()
      if (!isFailure(outcome)) timerOf(type).observe(seconds)
    },
    delivered: (sockets, seconds) => {
      deliveries.inc(sockets)
      if (seconds < importedFromSeconds) delivery.observe(Math.max(0, seconds))
    },
    dropped: () => dropped.inc(),
    behind: () => behind.inc(),
    limited: limit => limited.inc({ limit }),
    resumed: events => resumed.inc(events),
    resumeServed: shared => (shared ? resumeShared : resumeReads).inc(),
    ...presence,
    expose: async () => ({ contentType: registry.contentType, body: await registry.metrics() }),
  }
}
