import { Counter, Gauge, type Registry } from 'prom-client'

/** What a process follows of the log; `followed` is asked at each scrape. */
export const createFeedMetrics = (
  registry: Registry,
  followed: () => {
    readonly isNarrow: boolean
    readonly conversations: number
    readonly delivered: number
    readonly skipped: number
  },
): void => {
  const registers = [registry]
  new Gauge({
    name: 'confab_feed_narrow',
    help: '1 while the conversations of its clients are followed, and digests of the rest; 0 while everything is',
    registers,
    collect() {
      this.set(followed().isNarrow ? 1 : 0)
    },
  })
  new Gauge({
    name: 'confab_feed_conversations',
    help: 'Conversations that are followed by a subscription each',
    registers,
    collect() {
      this.set(followed().conversations)
    },
  })
  new Counter({
    name: 'confab_feed_events_total',
    help: 'Events of the log that the live feed has brought, and that it has passed over since nobody here wants them',
    labelNames: ['outcome'],
    registers,
    collect() {
      const { delivered, skipped } = followed()
      this.reset()
      this.inc({ outcome: 'brought' }, delivered)
      this.inc({ outcome: 'passed' }, skipped)
    },
  })
}
