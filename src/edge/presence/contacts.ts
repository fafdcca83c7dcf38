import type { StateReader } from '../../commands/index.ts'
import type { Views } from '../../projections/index.ts'

/** Conversations of both that are looked at, before two users are taken for strangers. */
const most = 20

/** Who lets whom know when it was last here: its own setting says so, and whoever is blocked is not let know. */
export class Contacts {
  readonly #states: StateReader
  readonly #views: Views

  constructor(states: StateReader, views: Views) {
    this.#states = states
    this.#views = views
  }

  /** Those of the users who let the asker know. Rejects with ConfabError. */
  async open(asker: string, users: readonly string[]): Promise<string[]> {
    let own: Promise<ReadonlySet<string>> | undefined
    const answers = await Promise.all(
      users.map(async user => {
        if (user === asker) return true
        const { lastSeen, hasBlocked } = await this.#states.user(user)
        if (lastSeen === 'nobody' || hasBlocked(asker)) return false
        if (lastSeen === 'everybody') return true
        own ??= this.#conversationsOf(asker)
        return this.#knows(user, asker, await own)
      }),
    )
    return users.filter((_, index) => answers[index])
  }

  /**
   * Whether they share a group or direct conversation that the user has made or read in: anybody may come into a channel, and put anybody into a group. The views only say where to look; who is in
   * is asked of the conversation itself.
   */
  async #knows(user: string, asker: string, own: ReadonlySet<string>): Promise<boolean> {
    const shared = [...(await this.#conversationsOf(user))].filter(c => own.has(c)).slice(0, most)
    for (const c of shared) {
      const view = await this.#states.conversation(c)
      if (view === undefined || view.kind === 'channel') continue
      if (view.roleOf(asker) === undefined || view.roleOf(user) === undefined) continue
      if (view.roleOf(user) === 'owner' || (await this.#states.user(user)).readMark(c) > 0) return true
    }
    return false
  }

  async #conversationsOf(user: string): Promise<ReadonlySet<string>> {
    return new Set((await this.#views.roster.conversationsOf(user)).conversations)
  }
}
