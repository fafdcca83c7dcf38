import type { Interest } from '../../commands/index.ts'
import type { SignalInterest } from '../ports/signals.ts'
import type { SessionRegistry } from '../sessions/session-registry.ts'
import type { FanOut } from './fan-out.ts'

export interface InterestParts {
  readonly fanOut: FanOut
  readonly sessions: SessionRegistry
  /** Whether the state of a user is cached here. It receives all markers of the user, or it would be behind. */
  readonly holdsUser: (user: string) => boolean
  /** Whether a catch-up in progress needs the live events of a conversation that no session subscribes to. */
  readonly isCatchingUp: (c: string) => boolean
}

type Watcher = (id: string, isNeeded: boolean) => void

/** Creates the interest of this edge node in the live feed and in signals, by its sessions and catch-ups. */
export const createInterest = ({
  fanOut,
  sessions,
  holdsUser,
  isCatchingUp,
}: InterestParts): { readonly events: Interest; readonly signals: SignalInterest } => {
  const ofConversations: Watcher[] = []
  const ofUsers: Watcher[] = []
  fanOut.watch((c, isNeeded) => {
    for (const watcher of ofConversations) watcher(c, isNeeded)
  })
  sessions.watch((user, isNeeded) => {
    for (const watcher of ofUsers) watcher(user, isNeeded)
  })
  return {
    events: {
      needsConversation: c => fanOut.audience(c) > 0 || isCatchingUp(c),
      // A marker concerns the user's other devices, and as a receipt the members of the conversation.
      needsMarkers: (user, c) => sessions.has(user) || fanOut.audience(c) > 0 || holdsUser(user),
      conversations: () => fanOut.conversations(),
      watch: listener => void ofConversations.push(listener),
    },
    signals: {
      needs: id => fanOut.audience(id) > 0 || sessions.has(id),
      ids: function* () {
        yield* fanOut.conversations()
        yield* sessions.users()
      },
      watch: listener => {
        ofConversations.push(listener)
        ofUsers.push(listener)
      },
    },
  }
}
