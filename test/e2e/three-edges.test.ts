import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { jetstreamManager } from '@nats-io/jetstream'
import t from 'tap'
import { readViews, sameViews } from '../harness/compare-views.ts'
import { type ConfabProcess, spawnConfab, untilReady } from '../harness/confab-process.ts'
import {
  type Acked,
  ackedAreStored,
  clientsSawTheLog,
  onlyMembersSaw,
  seqsAreGapless,
} from '../harness/invariants.ts'
import { startCluster, type TestCluster } from '../harness/nats-cluster.ts'
import { Outsider } from '../harness/outsider.ts'
import { replayLog } from '../harness/replay.ts'
import { tempFolder } from '../harness/temp-folder.ts'
import { untilLevel } from '../harness/until-level.ts'

const secret = 'a secret of at least thirty-two bytes'
const users = ['alice', 'bob', 'carol', 'dave', 'erin', 'frank']
const conversations = ['c0', 'c1', 'c2', 'c3']

const until = async (holds: () => boolean): Promise<void> => {
  while (!holds()) await sleep(20)
}

/**
 * Returns the leader of the stream of all conversations, and whether the other two servers have all of it; undefined
 * while no server answers.
 */
const leadership = async ({ connect, urls }: TestCluster) => {
  const nats = await connect(urls.join(','))
  const manager = await jetstreamManager(nats.connection, { checkAPI: false, timeout: 1_000 })
  return async () => {
    const { cluster } = await manager.streams.info('CONV_0').catch(() => ({ cluster: undefined }))
    const replicas = cluster?.replicas ?? []
    if (cluster?.leader === undefined || replicas.length !== 2) return undefined
    return {
      leader: Number(cluster.leader.slice(1)),
      isWhole: replicas.every(({ current, offline }) => current && offline !== true),
    }
  }
}

t.test(
  'three edges on three servers form one system, whichever server dies',
  { timeout: 240_000 },
  async t => {
    const cluster = await startCluster(t)
    const folder = tempFolder(t)
    const args = ['--roles', 'edge,commands,projections']
    const edges: ConfabProcess[] = []
    t.teardown(() => Promise.all(edges.map(edge => edge.stop())))
    // Each is given one server and discovers the others through it.
    for (const [n, nats] of cluster.urls.entries())
      edges.push(await spawnConfab({ data: join(folder, `edge-${n}`), nats, secret, args }))
    for (const edge of edges) await untilReady(edge)

    const tokens = await Promise.all(users.map(user => edges[0]!.token(user)))
    const edgeOf = (n: number): ConfabProcess => edges[n % edges.length]!
    const clients = users.map((user, n) => new Outsider(user, [edgeOf(n).url], tokens[n]!))
    t.teardown(() => Promise.all(clients.map(client => client.stop())))
    for (const client of clients) for (const c of conversations) client.expect(c)
    // Each conversation is created at another edge than the previous one.
    for (const [n, c] of conversations.entries())
      await clients[n]!.command('create', {
        c,
        kind: 'group',
        members: users.filter(user => user !== users[n]),
        key: 'create',
      })

    const acked: Acked[] = []
    let isEnding = false
    const senders = clients.map(async (client, who) => {
      for (let i = who; !isEnding; i++) {
        const c = conversations[i % conversations.length]!
        const message = { c, m: `${client.user}-${i}`, text: `${client.user} number ${i}` }
        const { seq } = await client.command('send', message)
        acked.push({ ...message, from: client.user, seq: Number(seq) })
        await sleep(5)
      }
    })
    const more = (count: number): Promise<void> => {
      const wanted = acked.length + count
      return until(() => acked.length >= wanted)
    }

    const ask = await leadership(cluster)
    const whole = async (): Promise<number> => {
      for (;;) {
        const answer = await ask()
        if (answer?.isWhole === true) return answer.leader
        await sleep(100)
      }
    }
    await more(200)
    for (const killed of ['the leader', 'a follower'] as const) {
      const leader = await whole()
      const server = killed === 'the leader' ? leader : (leader + 1) % cluster.urls.length
      await cluster.kill9(server)
      const began = performance.now()
      await more(1)
      t.comment(`${killed} killed: the next ack came after ${(performance.now() - began).toFixed(0)} ms`)
      await more(200)
      await cluster.restart(server)
      await more(100)
    }
    await whole()
    isEnding = true
    await Promise.all(senders)

    const log = await replayLog(['--nats', cluster.urls.join(',')])
    for (const client of clients)
      for (const c of conversations) await until(() => client.head(c) >= log.get(c)!.length)
    ackedAreStored(t, log, acked)
    seqsAreGapless(t, log)
    clientsSawTheLog(t, log, clients)
    onlyMembersSaw(t, log, clients)
    // A projection that lost its server notices that after seconds of silence. Queries do not wait that long.
    await Promise.all(edges.map(edge => untilLevel(edge)))
    const [expected, ...others] = edges.map(edge => () => readViews(edge, users, ['alice', 'number']))
    for (const [index, actual] of others.entries())
      await sameViews(t, { actual, expected: expected! }, `edge ${index + 2} answers like edge 1`)
    t.comment(`${acked.length} acks; reconnects: ${clients.map(client => client.reconnects).join(', ')}`)
  },
)
