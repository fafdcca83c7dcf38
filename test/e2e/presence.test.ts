import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { spawnConfab, untilReady } from '../harness/confab-process.ts'
import { startNats } from '../harness/nats.ts'
import { RawClient } from '../harness/raw-client.ts'
import { tempFolder } from '../harness/temp-folder.ts'

t.test(
  'an edge is killed: its users are offline after its life, for old and new edges',
  { timeout: 120_000 },
  async t => {
    const nats = await startNats(t)
    const folder = tempFolder(t)
    const start = async (name: string) => {
      const confab = await untilReady(
        await spawnConfab({
          data: join(folder, name),
          nats: nats.url,
          secret: 'a secret of at least thirty-two bytes',
          env: {
            CONFAB_EDGE_PRESENCE_LIFE: '2s',
            CONFAB_EDGE_PRESENCE_EVERY: '100ms',
            CONFAB_EDGE_PRESENCE_OFFLINE: '1s',
          },
        }),
      )
      t.teardown(() => confab.stop())
      const connect = async (user: string) => {
        const client = await RawClient.open(`${confab.url.replace('http', 'ws')}/v1/ws`, {
          patienceMs: 20_000,
        })
        t.teardown(() => client.close())
        await client.ok('hello', { token: await confab.token(user) })
        await client.ok('privacy', { lastSeen: 'everybody' })
        return client
      }
      return { confab, connect }
    }
    const [one, two] = await Promise.all([start('one'), start('two')])
    const alice = await one.connect('alice')
    await Promise.all(['bob', 'carol', 'dave'].map(user => two.connect(user)))
    const users = ['bob', 'carol', 'dave']
    const statesBy = async (client: RawClient) =>
      (await client.ok('presence', { users })).states as Record<string, string>
    const until = async (client: RawClient, wanted: Record<string, string>) => {
      for (;;) {
        const states = await statesBy(client)
        if (users.every(user => states[user] === wanted[user])) return
        await sleep(50)
      }
    }
    await until(alice, { bob: 'online', carol: 'online', dave: 'online' })
    alice.frames.length = 0
    const offline = (user: string) =>
      alice.find(frame => frame.type === 'presence' && frame.user === user && frame.state === 'offline')
    await two.confab.kill9()
    // A user that reconnects elsewhere within the dead edge's life was never offline.
    await one.connect('bob')
    await Promise.all([offline('carol'), offline('dave')])
    t.same(await statesBy(alice), { bob: 'online', carol: 'offline', dave: 'offline' })
    t.notOk(
      alice.frames.some(frame => frame.type === 'presence' && frame.user === 'bob'),
      'bob was never gone',
    )
    // The dead edge's lists are still stored; its life is not.
    const three = await start('three')
    const erin = await three.connect('erin')
    await until(erin, { bob: 'online', carol: 'offline', dave: 'offline' })
    await three.connect('dave')
    await alice.find(frame => frame.type === 'presence' && frame.user === 'dave' && frame.state === 'online')
    t.equal(await three.confab.stop(), 0)
    await alice.next(frame => frame.type === 'presence' && frame.user === 'dave' && frame.state === 'offline')
  },
)
