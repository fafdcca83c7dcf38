import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { clusterPages, emptySystem, runRunbook } from '../harness/runbook.ts'

/** Time after which the leader of a stream reports a server that does not answer, and an election is over, ms. */
const reportedAfterMs = 15_000

/**
 * The runbooks of a cluster, on one system: the first page installs it, and each page leaves it as it found it.
 * `RECORD_RUNBOOKS=1` writes the output into the pages.
 */
t.test(
  'each command of the runbooks of a cluster has the output of its page',
  { timeout: 900_000 },
  async t => {
    const system = await emptySystem(t)
    const direct = async (comment: string): Promise<void> => {
      const [, name] = /^(\S+) fails$/.exec(comment) ?? []
      if (name === undefined) return
      process.kill(Number(readFileSync(join(system.work, `${name}.pid`), 'utf8')), 'SIGKILL')
      await sleep(name.startsWith('nats') ? reportedAfterMs : 1_000)
    }
    for (const name of clusterPages)
      await t.test(`docs/operations/${name}`, { timeout: 300_000 }, t =>
        runRunbook(t, name, { ...system, direct }),
      )
  },
)
