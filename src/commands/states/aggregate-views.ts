import type { Kind, LastSeenFor, Posting, Role } from '../../events/index.ts'
import type { ConversationState } from '../domain/conversation-state.ts'
import { marksOf, type UserState } from '../domain/user-state.ts'

/** A conversation as it stands, for whoever has to authorise or to serve. Do not keep it: it goes on changing. */
export interface ConversationView {
  readonly c: string
  readonly kind: Kind
  readonly title: string | undefined
  /** seq of its last event. */
  readonly head: number
  /** Stream and stream sequence of its last event. */
  readonly stream: string
  readonly streamSeq: number
  /** Those in its own log: without who follows a channel. */
  readonly memberCount: number
  readonly posting: Posting
  /** Seconds between two messages of one plain member; 0: any. */
  readonly slowModeSeconds: number
  /** Undefined for who follows a channel, too. */
  roleOf(user: string): Role | undefined
  members(): IterableIterator<string>
}

/** The marks, mutes, blocks, settings and followed channels of a user. Do not keep it. */
export interface UserView {
  readonly user: string
  readMark(c: string): number
  deliveredMark(c: string): number
  isMuted(c: string): boolean
  hasBlocked(user: string): boolean
  /** Who is told when the user was last here. */
  readonly lastSeen: LastSeenFor
  /** Whether it is in a channel without being in the channel's own log. */
  follows(c: string): boolean
}

const conversationViews = new WeakMap<ConversationState, ConversationView>()
const userViews = new WeakMap<UserState, UserView>()

/** The state as others may see it; undefined when there is no such conversation. */
export const viewOfConversation = (state: ConversationState): ConversationView | undefined => {
  if (state.seq === 0) return undefined
  let view = conversationViews.get(state)
  if (view === undefined) {
    view = conversationView(state)
    conversationViews.set(state, view)
  }
  return view
}

const conversationView = (state: ConversationState): ConversationView => ({
  c: state.c,
  get kind() {
    return state.kind
  },
  get title() {
    return state.title
  },
  get head() {
    return state.seq
  },
  get stream() {
    return state.stream
  },
  get streamSeq() {
    return state.streamSeq
  },
  get memberCount() {
    return state.members.size
  },
  get posting() {
    return state.posting
  },
  get slowModeSeconds() {
    return state.slowMode?.seconds ?? 0
  },
  roleOf: user => state.members.get(user),
  members: () => state.members.keys(),
})

export const viewOfUser = (state: UserState): UserView => {
  let view = userViews.get(state)
  if (view === undefined) {
    view = {
      user: state.user,
      readMark: c => marksOf(state, c).read,
      deliveredMark: c => marksOf(state, c).delivered,
      isMuted: c => state.muted.has(c),
      hasBlocked: user => state.blocked.has(user),
      get lastSeen() {
        return state.lastSeen
      },
      follows: c => state.follows.has(c),
    }
    userViews.set(state, view)
  }
  return view
}
