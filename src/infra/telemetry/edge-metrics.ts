import { Counter, Gauge, Histogram, type Registry } from 'prom-client'
import type { EdgeMetrics } from '../../edge/ports/edge-metrics.ts'
import { CloseCode, type ErrorCode, ErrorRegistry } from '../../events/index.ts'

/** In seconds. An ack normally takes a few milliseconds. */
const latencyBuckets = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10]

/** Close codes that get a series: those of the protocol and of the transport. Clients may send any other code. */
const closeCodes: ReadonlySet<number> = new Set([1000, 1005, 1006, ...Object.values(CloseCode)])

/** Older events are imported ones with times of their own, which say nothing about delivery. */
const importedAfterSeconds = 600

/** Whether a request failed because of the server. The latency leaves these out: an objective counts them as slow. */
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

/** Metrics of an edge node. Each scrape calls `buffered`, which returns the bytes that wait for slow sockets. */
export const createEdgeMetrics = (registry: Registry, buffered?: () => number): EdgeMetrics => {
  const registers = [registry]
  const connections = new Gauge({ name: 'confab_edge_connections', help: 'Open sockets.', registers })
  const closed = new Counter({
    name: 'confab_edge_disconnections_total',
    help: 'Closed sockets, by close code.',
    labelNames: ['code'],
    registers,
  })
  const requests = new Counter({
    name: 'confab_edge_requests_total',
    help: 'Answered requests, by type and outcome (ok, or the error code).',
    labelNames: ['type', 'outcome'],
    registers,
  })
  const latency = new Histogram({
    name: 'confab_edge_request_seconds',
    help: 'Seconds from a request to its answer, by type, without server failures (status 500 and above).',
    labelNames: ['type'],
    buckets: latencyBuckets,
    registers,
  })
  const deliveries = new Counter({
    name: 'confab_edge_deliveries_total',
    help: 'Events delivered to sockets, counted once a socket.',
    registers,
  })
  const delivery = new Histogram({
    name: 'confab_edge_delivery_seconds',
    help: 'Seconds from the decision of an event to its delivery to local sockets, once a node. Includes the difference of clocks.',
    buckets: latencyBuckets,
    registers,
  })
  const dropped = new Counter({
    name: 'confab_edge_dropped_total',
    help: 'Frames not sent to slow consumers, whose sockets are then closed.',
    registers,
  })
  const behind = new Counter({
    name: 'confab_edge_behind_total',
    help: 'Times that a slow consumer left live delivery and caught up from its cursor.',
    registers,
  })
  const limited = new Counter({
    name: 'confab_edge_limited_total',
    help: 'Requests refused and sockets closed by a limit of the edge, by limit.',
    labelNames: ['limit'],
    registers,
  })
  const resumed = new Counter({
    name: 'confab_edge_resumed_events_total',
    help: 'Missed events sent on resume and sync.',
    registers,
  })
  const resumeReads = new Counter({
    name: 'confab_edge_resume_reads_total',
    help: 'Reads of the timeline and the log for missed events.',
    registers,
  })
  const resumeShared = new Counter({
    name: 'confab_edge_resume_shared_total',
    help: 'Requests for missed events that shared the read of another session.',
    registers,
  })
  const presence = createPresenceMetrics(registry)
  if (buffered !== undefined)
    new Gauge({
      name: 'confab_edge_buffered_bytes',
      help: 'Bytes buffered for slow sockets.',
      registers,
      collect() {
        this.set(buffered())
      },
    })

  // Cache the labelled series: finding one costs more than counting.
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
      if (seconds < importedAfterSeconds) delivery.observe(Math.max(0, seconds))
    },
    dropped: () => dropped.inc(),
    behind: () => behind.inc(),
    limited: limit => limited.inc({ limit }),
    resumed: events => resumed.inc(events),
    resumeServed: shared => (shared ? resumeShared : resumeReads).inc(),
    ...presence,
  }
}

/** Metrics of presence on an edge node. */
const createPresenceMetrics = (registry: Registry): Pick<EdgeMetrics, 'presence' | 'presenceStored'> => {
  const registers = [registry]
  const users = new Gauge({
    name: 'confab_edge_presence_users',
    help: 'Users of this node that are online or away.',
    registers,
  })
  const watched = new Gauge({
    name: 'confab_edge_presence_watched',
    help: 'Users whose presence sessions of this node watch.',
    registers,
  })
  const edges = new Gauge({
    name: 'confab_edge_presence_edges',
    help: 'Other edge nodes that send presence updates.',
    registers,
  })
  const bytes = new Gauge({
    name: 'confab_edge_presence_bytes',
    help: 'Bytes of presence data of other nodes.',
    registers,
  })
  const pushes = new Counter({
    name: 'confab_edge_presence_pushes_total',
    help: 'Presence states sent to watching sessions.',
    registers,
  })
  const stored = new Counter({
    name: 'confab_edge_presence_lists_total',
    help: 'Presence lists written for other nodes.',
    registers,
  })
  return {
    presence: figures => {
      users.set(figures.users)
      watched.set(figures.watched)
      edges.set(figures.edges)
      bytes.set(figures.bytes)
      pushes.inc(figures.pushes)
    },
    presenceStored: lists => stored.inc(lists),
  }
}
