import type { Prepared } from '../../app/start.ts'
import { importContext } from '../../commands/index.ts'
import type { ConversationRequest } from '../../events/index.ts'

type Step = Readonly<{ from: string; minutesAgo: number; request: ConversationRequest }>

const lounge = 'lounge'
const hike = 'weekend-hike'

let serial = 0
const id = (): string => `demo-${++serial}`

const create = (
  c: string,
  kind: 'group' | 'channel',
  title: string,
  from: string,
  members: string[],
  minutesAgo: number,
): Step => ({
  from,
  minutesAgo,
  request: { id: id(), t: 'create', c, kind, title, members, key: 'demonstration' },
})

const say = (
  c: string,
  m: string,
  from: string,
  minutesAgo: number,
  text: string,
  replyTo?: string,
): Step => ({
  from,
  minutesAgo,
  request: { id: id(), t: 'send', c, m, text, ...(replyTo === undefined ? {} : { replyTo }) },
})

const react = (c: string, m: string, from: string, minutesAgo: number, emoji: string): Step => ({
  from,
  minutesAgo,
  request: { id: id(), t: 'react', c, m, emoji, on: true, key: `${m}-${from}` },
})

const day = 24 * 60

/**
 * Conversations of a new development server. The ids are fixed, so that a second run of the seed adds nothing.
 */
const steps: readonly Step[] = [
  create(lounge, 'channel', 'Lounge', 'carol', ['alice', 'bob'], 2 * day),
  say(
    lounge,
    'demo-1',
    'carol',
    2 * day - 1,
    'Welcome! This is a channel: every user who knows its id can join. The other conversation is a group.',
  ),
  react(lounge, 'demo-1', 'alice', 2 * day - 3, '👋'),
  react(lounge, 'demo-1', 'bob', 2 * day - 4, '👋'),
  say(lounge, 'demo-2', 'bob', day + 40, 'Does search find half a word?'),
  say(
    lounge,
    'demo-3',
    'carol',
    day + 38,
    'It does: try conv* for “conversation”, or "half a word" for a phrase.',
    'demo-2',
  ),
  create(hike, 'group', 'Weekend hike', 'alice', ['bob', 'carol'], 190),
  say(hike, 'demo-1', 'alice', 188, 'Saturday looks dry. Who is in for the ridge walk?'),
  say(hike, 'demo-2', 'bob', 181, 'In. I can take two more in the car.'),
  say(hike, 'demo-3', 'carol', 175, 'Me too! Eight at the station?', 'demo-1'),
  react(hike, 'demo-3', 'alice', 174, '👍'),
  say(hike, 'demo-4', 'bob', 36, 'Eight is fine. I will bring the big thermos.'),
  react(hike, 'demo-4', 'carol', 35, '☕'),
  say(hike, 'demo-5', 'carol', 12, 'Then I bring cake.'),
]

/** Writes the demonstration into an empty log. Returns false when the log has events, and then writes nothing. */
export const seedDemonstration = async ({ bus, feed }: Pick<Prepared, 'bus' | 'feed'>): Promise<boolean> => {
  if (feed.positions().some(({ streamSeq }) => streamSeq > 0)) return false
  const now = Date.now()
  for (const { from, minutesAgo, request } of steps)
    await bus.execute(request, importContext(from, new Date(now - minutesAgo * 60_000).toISOString()))
  return true
}
