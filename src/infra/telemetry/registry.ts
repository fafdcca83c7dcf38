import { collectDefaultMetrics, Registry } from 'prom-client'

/** A registry with the process' own metrics: memory, CPU, garbage collection, and the event loop's delay as `nodejs_eventloop_lag_*`. */
export const createRegistry = (): Registry => {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  return registry
}
