import type { ConversationEvent, Push } from '../../events/index.ts'

type InvitationPush = Extract<Push, { t: 'invitation' }>

/** Returns the pushes to users whose invitations an event opens or ends. A user who joins receives the event itself. */
export const invitationChanges = (
  event: ConversationEvent,
): readonly [user: string, push: InvitationPush][] => {
  const { c, from: by, at } = event
  const opened = (user: string): [string, InvitationPush] => [user, { t: 'invitation', c, on: true, by, at }]
  const ended = (user: string): [string, InvitationPush] => [user, { t: 'invitation', c, on: false }]
  switch (event.type) {
    case 'conversation.created':
      return event.invited?.map(opened) ?? []
    case 'member.invited':
      return [opened(event.user)]
    case 'member.uninvited':
      return [ended(event.user)]
    case 'member.banned':
      return event.invited === true ? [ended(event.user)] : []
    case 'conversation.settings_changed':
      return event.uninvited?.map(ended) ?? []
    default:
      return []
  }
}
