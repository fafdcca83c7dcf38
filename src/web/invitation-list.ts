import { html } from 'htm/preact'
import { useState } from 'preact/hooks'
import type { InvitationItem } from '../events/index.ts'
import { Avatar } from './avatar.ts'
import type { Chat } from './chat.ts'
import { goTo } from './route.ts'

/** The conversations that invite the user, above the user's own ones. */
export const InvitationList = ({ chat }: { chat: Chat }) => {
  const { items } = chat.invitations
  return (
    items.length > 0 &&
    html`
      <section class="invitations" aria-labelledby="invitations-title">
        <h2 id="invitations-title">Invitations</h2>
        <ul role="list">
          ${items.map(item => html`<${Invitation} key=${item.c} chat=${chat} item=${item} />`)}
        </ul>
      </section>
    `
  )
}

const Invitation = ({ chat, item }: { chat: Chat; item: InvitationItem }) => {
  const [busy, setBusy] = useState(false)
  const { c, kind, title, by, memberCount } = item
  const name = title ?? c
  const answer = async (accepts: boolean): Promise<void> => {
    setBusy(true)
    const isAnswered = await chat.answerInvitation(c, accepts)
    setBusy(false)
    if (isAnswered && accepts) goTo(c)
  }
  return html`
    <li class="invitation" data-c=${c}>
      <${Avatar} id=${c} name=${name} channel=${kind === 'channel'} size="small" />
      <span class="invitation-text">
        <span class="conversation-name" dir="auto">${name}</span>
        <span class="muted"><bdi>${by}</bdi> invites you, ${memberCount} ${memberCount === 1 ? 'member' : 'members'}</span>
      </span>
      <span class="invitation-actions">
        <button type="button" class="quiet" disabled=${busy} aria-label=${`Decline ${name}`} onClick=${() => void answer(false)}>Decline</button>
        <button type="button" class="primary" disabled=${busy} aria-label=${`Accept ${name}`} onClick=${() => void answer(true)}>Accept</button>
      </span>
    </li>
  `
}
