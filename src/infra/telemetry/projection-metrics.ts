import { Gauge, type Registry } from 'prom-client'
import type { ProjectionStatus, StreamStatus } from '../../projections/index.ts'

interface StreamGauge {
  readonly name: string
  readonly help: string
  readonly of: (stream: StreamStatus) => number
  /** Of a view that fails as a whole, of which no stream may tell; its stream is ''. Not given: nothing is said. */
  readonly whole?: number
}

const gauges: readonly StreamGauge[] = [
  {
    name: 'confab_projection_lag_events',
    help: 'Events of a stream that a projection has not applied yet',
    of: ({ lagEvents }) => lagEvents,
  },
  {
    name: 'confab_projection_lag_seconds',
    help: 'Since a projection was last level with its stream; 0 while it is',
    of: ({ lagMs }) => lagMs / 1000,
  },
  {
    name: 'confab_projection_dead_letters',
    help: 'Events of a stream that a projection could not take, since its rows were last built',
    of: ({ deadLetters }) => deadLetters,
  },
  {
    name: 'confab_projection_running',
    help: '1: live or catching up; 0: failing, paused or stopped; without a stream: the view as a whole',
    of: ({ state }) => (state === 'live' || state === 'catching-up' ? 1 : 0),
    whole: 0,
  },
]

/** How far projections have come, in a registry of Prometheus' client. `status` is asked at each scrape. */
export const createProjectionMetrics = (
  registry: Registry,
  status: () => readonly ProjectionStatus[],
): void => {
  for (const { name, help, of, whole } of gauges)
    new Gauge({
      name,
      help,
      labelNames: ['projection', 'generation', 'stream'],
      registers: [registry],
      collect() {
        // What was said of a generation that is dropped is not to stand for ever.
        this.reset()
        for (const { projection, generation, streams, reason } of status()) {
          for (const stream of streams)
            this.set({ projection, generation, stream: stream.stream }, of(stream))
          if (whole !== undefined && reason !== undefined)
            this.set({ projection, generation, stream: '' }, whole)
        }
      },
    })
}
