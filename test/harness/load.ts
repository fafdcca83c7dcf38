import { setTimeout as sleep } from 'node:timers/promises'
import type { ConfabProcess } from './confab-process.ts'
import type { Acked } from './invariants.ts'
import { Outsider } from './outsider.ts'

export interface Load {
  readonly clients: readonly Outsider[]
  readonly acked: readonly Acked[]
  /** Stops sending; resolves when every message in flight is acknowledged. */
  end(): Promise<void>
}

/**
 * Live load: `users` in `conversations` groups of all of them; each user sends one message after another with pauses
 * of `pauseMs`, and repeats each until it is acknowledged.
 */
export const startLoad = async (
  confab: ConfabProcess,
  options: { users: readonly string[]; conversations: readonly string[]; pauseMs: number },
): Promise<Load> => {
  const { users, conversations, pauseMs } = options
  const acked: Acked[] = []
  const clients: Outsider[] = []
  for (const user of users) clients.push(new Outsider(user, [confab.url], await confab.token(user)))
  for (const client of clients) for (const c of conversations) client.expect(c)
  for (const c of conversations)
    await clients[0]!.command('create', { c, kind: 'group', members: users.slice(1), key: 'create' })
  let ending = false
  const senders = clients.map(async client => {
    for (let i = 0; !ending; i++) {
      const c = conversations[i % conversations.length]!
      const message = { c, m: `${client.user}-${i}`, text: `word${i % 7} from ${client.user} number ${i}` }
      const { seq } = await client.command('send', message)
      acked.push({ ...message, from: client.user, seq: Number(seq) })
      await sleep(pauseMs)
    }
  })
  return {
    clients,
    acked,
    end: async () => {
      ending = true
      await Promise.all(senders)
    },
  }
}
