import { startConfab } from '../../harness/confab.ts'
import { seededRandom } from '../../harness/texts.ts'
import { conversationId, userId } from '../../load/frames.ts'
import { ircShape } from '../../load/irc-shape.ts'
import type { Due, Spread, TalkPlan } from '../../load/jobs.ts'
import { weighted, zipfSizes } from '../../load/shape.ts'
import type { Row, Sample } from '../../row.ts'
import { confabSockets } from '../socket-sides.ts'
import { openTwoLoads, startRaw, type TwoLoads } from './two-loads.ts'

const users = 1000
/** The last users; their sockets belong to the watching process and only listen. */
const watched = 50
const conversations = 200
const largest = 200
const firstRate = 100
const stepFactor = 1.5
/**
 * Above this p99 the load is too high, ms. People notice a tenth of a second; three quarters of it are left to the
 * network.
 */
const kneeMs = 25

/**
 * Draws the members of each conversation, the busiest user first, by activity: active users are in most
 * conversations.
 */
const drawMembers = (): number[][] => {
  const random = seededRandom(5)
  const draw = weighted(
    Array.from({ length: users }, (_, rank) => (rank + 1) ** -ircShape.activityExponent),
    random,
  )
  // Spreads busy users over both processes' sockets.
  const shuffled = Array.from({ length: users }, (_, n) => (n * 7) % users)
  return zipfSizes(conversations, largest).map(size => {
    const members = new Set<number>()
    while (members.size < size) members.add(shuffled[draw()]!)
    // Each conversation needs a speaker in the loading process.
    if ([...members].every(user => user >= users - watched)) members.add(0)
    return [...members]
  })
}

const members = drawMembers()
const isLoaded = (user: number): boolean => user < users - watched

const talks: TalkPlan['talks'] = members.map((own, n) => ({
  c: conversationId(n),
  weight: own.length,
  speakers: own.filter(isLoaded),
  receivers: own.filter(isLoaded).length,
}))

const dueOf = (sent: readonly number[]): Due[] =>
  members.flatMap((own, n) =>
    own
      .filter(user => !isLoaded(user))
      .map(user => ({ socket: user - (users - watched), c: conversationId(n), messages: sent[n]! })),
  )

/**
 * Raises the load by half until the knee: returns p50 and p99 of delivery at the first load, and the highest load
 * before the knee.
 */
const climb = async (
  { load, watch }: TwoLoads,
  seconds: number,
  tell: (text: string) => void,
): Promise<Sample> => {
  let first: Spread | undefined
  let knee = 0
  let hasFailed = false
  for (let step = 0; ; ) {
    const rate = Math.round(firstRate * stepFactor ** step)
    await watch.watch()
    const result = await load.talk({ talks, rate, seconds, waitMs: 1_000, seed: 1 + step })
    // Overload may be refused; what was delivered is checked all the same.
    const { deliveryMs } = await watch.report(result.complete ? dueOf(result.sent) : [])
    const fine = result.complete && deliveryMs.p99 <= kneeMs
    tell(
      `${rate} messages/s: ack ${result.ackMs.p50.toFixed(2)} / ${result.ackMs.p99.toFixed(2)} ms, ` +
        `delivery ${deliveryMs.p50.toFixed(2)} / ${deliveryMs.p99.toFixed(2)} ms (p50 / p99)${result.complete ? '' : `, not all in time, ${result.refused} refused`}`,
    )
    first ??= deliveryMs
    // A load is too high when it is so twice: other load of the machine varies.
    if (!fine && hasFailed) return [first.p50, first.p99, knee]
    hasFailed = !fine
    if (!fine) continue
    knee = rate
    step++
  }
}

export const kneeRow: Row = {
  name: 'knee',
  figures: [
    {
      path: `delivery at ${firstRate} messages/s in ${conversations} conversations shaped like IRC's, ${users} sockets, p50`,
      unit: 'ms',
      target: { rule: 'none' },
    },
    { path: 'the same, p99', unit: 'ms', target: { rule: 'none' } },
    {
      path: `messages a second until the p99 of delivery is over ${kneeMs} ms`,
      unit: 'messages/s',
      target: { rule: 'none' },
    },
  ],
  mostRounds: 3,
  prepare: async ({ quick, tell, defer }) => {
    const seconds = quick ? 1 : 3
    const confab = await startConfab()
    defer(confab.stop)
    const own = await openTwoLoads(defer, confab.port, await confabSockets(users), watched, true)
    await own.load.create(
      members.map((all, n) => {
        // The creator is the first member.
        const by = talks[n]!.speakers[0]!
        const rest = all.filter(user => user !== by)
        return {
          c: conversationId(n),
          kind: 'group',
          members: [by, ...rest].map(userId),
          by,
          here: talks[n]!.receivers,
        }
      }),
    )
    const rawPort = await startRaw(defer, 320)
    const numbersOf = (user: number) =>
      members.flatMap((all, n) => (all.includes(user) ? [n] : [])).join(',') || String(conversations)
    const raw = await openTwoLoads(
      defer,
      rawPort,
      Array.from({ length: users }, (_, user) => ({ path: `/topic/${numbersOf(user)}` })),
      watched,
      false,
    )
    return {
      ours: () => climb(own, seconds, text => tell(`confab: ${text}`)),
      limit: () => climb(raw, seconds, text => tell(`raw: ${text}`)),
    }
  },
}
