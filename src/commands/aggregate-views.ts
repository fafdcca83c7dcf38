import type { ConversationView, UserView } from './command-bus.ts'
import type { ConversationState } from './conversation-state.ts'
import { marksOf, type UserState } from './user-state.ts'

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
    }
    userViews.set(state, view)
  }
  return view
}
