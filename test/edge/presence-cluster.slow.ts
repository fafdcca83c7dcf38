import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { type ConfabOptions, startConfab } from '../harness/confab.ts'
import { startCluster } from '../harness/nats-cluster.ts'
import type { RawClient } from '../harness/raw-client.ts'
import { showPresence } from '../harness/show-presence.ts'

const users = Array.from({ length: 12 }, (_, n) => `user-${n}`)

t.test(
  'servers that keep presence in memory are killed one after another: presence stays correct',
  { timeout: 240_000 },
  async t => {
    const cluster = await startCluster(t)
    // A confab in the test's process needs only a connection of NATS.
    const nats = { connect: () => cluster.connect() } as NonNullable<ConfabOptions['nats']>
    const limits = { presenceLifeMs: 5_000, presenceEveryMs: 200, offlineMs: 200 }
    const [here, there] = [await startConfab(t, { nats, limits }), await startConfab(t, { nats, limits })]
    await showPresence(there, ...users)
    const alice = await here.connect('alice', { patienceMs: 60_000 })
    const present = new Map<string, RawClient>()
    const turn = async (user: string): Promise<void> => {
      const client = present.get(user)
      if (client !== undefined) {
        present.delete(user)
        client.close()
        return
      }
      for (;;)
        try {
          present.set(user, await there.connect(user))
          return
        } catch {
          // No leader at the moment: clients retry.
          await sleep(200)
        }
    }
    const isSeen = async (): Promise<boolean> => {
      const { states } = await alice.ok('presence', { users })
      return users.every(
        user => (states as Record<string, string>)[user] === (present.has(user) ? 'online' : 'offline'),
      )
    }
    const untilSeen = async (): Promise<void> => {
      while (!(await isSeen())) await sleep(50)
    }

    for (const user of users.slice(0, 6)) await turn(user)
    await untilSeen()
    for (let round = 0; round < 6; round++) {
      const server = round % 3
      await cluster.kill9(server)
      for (let n = 0; n < 3; n++) await turn(users[(3 * round + n) % users.length]!)
      await cluster.restart(server)
    }
    await untilSeen()
    // Longer than stored records live: what is not renewed has expired.
    await sleep(2 * limits.presenceLifeMs)
    await untilSeen()
    await turn(users[0]!)
    await untilSeen()
    t.pass(`${present.size} of ${users.length} are here`)
  },
)
