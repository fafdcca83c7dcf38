import { Counter, Gauge, Histogram, type Registry } from 'prom-client'

/** What is counted where commands of other processes are decided; `underWay` is asked at each scrape. */
export const createCommandMetrics = (
  registry: Registry,
  underWay: () => number,
): ((type: string, outcome: string, seconds: number) => void) => {
  const registers = [registry]
  const answered = new Histogram({
    name: 'confab_command_seconds',
    help: 'From a command of another process to its answer',
    labelNames: ['type', 'outcome'],
    buckets: [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10],
    registers,
  })
  new Gauge({
    name: 'confab_commands_under_way',
    help: 'Commands of other processes that are being decided',
    registers,
    collect() {
      this.set(underWay())
    },
  })
  return (type, outcome, seconds) => answered.observe({ type, outcome }, seconds)
}

/** What is counted where commands are sent to other processes. */
export const createRemoteMetrics = (
  registry: Registry,
  bus: { readonly open: number; readonly resent: number; readonly isServed: boolean },
): void => {
  const registers = [registry]
  new Gauge({
    name: 'confab_remote_commands_open',
    help: 'Commands that other processes have not answered yet',
    registers,
    collect() {
      this.set(bus.open)
    },
  })
  new Gauge({
    name: 'confab_remote_commands_served',
    help: '1 while there is a process that decides commands',
    registers,
    collect() {
      this.set(bus.isServed ? 1 : 0)
    },
  })
  new Counter({
    name: 'confab_remote_commands_resent_total',
    help: 'Commands that were sent again: nobody was there, or nobody answered',
    registers,
    collect() {
      this.reset()
      this.inc(bus.resent)
    },
  })
}
