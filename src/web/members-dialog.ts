import { html } from 'htm/preact'
import { useEffect, useRef, useState } from 'preact/hooks'
import type { MemberItem, Role } from '../events/index.ts'
import { Avatar } from './avatar.ts'
import type { Chat } from './chat.ts'
import { Dialog } from './dialog.ts'
import { IconButton } from './icons.ts'
import type { Room } from './room.ts'

const rank: Record<Role, number> = { owner: 2, admin: 1, member: 0 }

/** The members of a conversation with their roles, and the changes that the user may make. */
export const MembersDialog = ({ chat, room, onClose }: { chat: Chat; room: Room; onClose: () => void }) => {
  const [leaving, setLeaving] = useState(false)
  const item = chat.inbox.get(room.c)
  const mine = room.roleOf(chat.me) ?? 'member'
  const open = item?.kind !== 'direct'
  const leads = open && rank[mine] > 0
  const members = [...room.members].sort((a, b) => rank[b.role] - rank[a.role] || (a.user < b.user ? -1 : 1))

  const submit = (act: (value: string) => Promise<boolean>) => async (event: SubmitEvent) => {
    event.preventDefault()
    const form = event.target as HTMLFormElement
    const value = String(new FormData(form).get('value') ?? '').trim()
    if (await act(value)) form.reset()
  }

  return html`
    <${Dialog} title="Members" onClose=${onClose}>
      <ul role="list" class="members">
        ${members.map(
          member => html`
            <${Member} key=${member.user} chat=${chat} room=${room} member=${member} mine=${mine} leads=${leads} />
          `,
        )}
      </ul>
      ${room.moreMembers && html`<p class="muted">There are more; these are the first ${members.length}.</p>`}
      ${
        leads &&
        html`
          <form class="inline-form" onSubmit=${submit(user => chat.invite(room.c, user))}>
            <label class="field">
              <span>Invite</span>
              <input name="value" required pattern="[A-Za-z0-9_\\-]{1,64}" title="1 to 64 letters, digits, - or _" placeholder="dave" autocapitalize="none" spellcheck=${false} />
            </label>
            <button class="primary">Invite</button>
          </form>
          <form class="inline-form" onSubmit=${submit(title => chat.rename(room.c, title))}>
            <label class="field">
              <span>Title</span>
              <input name="value" required maxlength="200" dir="auto" placeholder=${item?.title ?? ''} />
            </label>
            <button class="quiet">Rename</button>
          </form>
        `
      }
      ${
        open &&
        html`
          <div class="dialog-actions">
            ${
              leaving
                ? html`
                  <span class="muted">You will not see it any more.</span>
                  <button type="button" class="quiet" onClick=${() => setLeaving(false)}>Stay</button>
                  <button
                    type="button"
                    class="danger"
                    onClick=${async () => {
                      if (await chat.leave(room.c)) onClose()
                    }}
                  >
                    Leave
                  </button>
                `
                : html`<button type="button" class="quiet" onClick=${() => setLeaving(true)}>Leave the conversation</button>`
            }
          </div>
        `
      }
    <//>
  `
}

/** A change of a member that takes something away: it needs a second click. */
type Asking = 'remove' | 'own'

const Member = (props: { chat: Chat; room: Room; member: MemberItem; mine: Role; leads: boolean }) => {
  const { chat, room, member, mine, leads } = props
  const [asking, setAsking] = useState<Asking | undefined>(undefined)
  const { user, role } = member
  const me = user === chat.me
  const presence = me ? 'online' : (chat.presence.get(user) ?? 'offline')
  const setRole = (wanted: Role): void => {
    // The new owner could keep this user from taking the role back.
    if (wanted === 'owner') setAsking('own')
    else void chat.role(room.c, user, wanted)
  }
  return html`
    <li class="member" data-user=${user}>
      <${Avatar} id=${user} size="small" presence=${presence} />
      <span class="member-name" dir="auto">${user}${me && html` <span class="muted">you</span>`}</span>
      <span class="muted member-state">${presence}</span>
      ${
        mine === 'owner' && leads && !me
          ? html`
            <select
              aria-label=${`Role of ${user}`}
              value=${asking === 'own' ? 'owner' : role}
              onChange=${(event: Event) => setRole((event.target as HTMLSelectElement).value as Role)}
            >
              <option value="owner">owner</option>
              <option value="admin">admin</option>
              <option value="member">member</option>
            </select>
          `
          : html`<span class=${`role role-${role}`}>${role}</span>`
      }
      ${
        leads &&
        !me &&
        rank[role] < rank[mine] &&
        html`<${IconButton} name="close" label=${`Remove ${user}`} onClick=${() => setAsking('remove')} />`
      }
      ${
        asking !== undefined &&
        html`
          <${Question}
            text=${
              asking === 'remove'
                ? `Remove ${user} from the conversation?`
                : `Make ${user} an owner? An owner can do all that you can, and take your role from you.`
            }
            keep="Cancel"
            confirm=${asking === 'remove' ? 'Remove' : 'Make owner'}
            onClose=${() => setAsking(undefined)}
            onConfirm=${() => void (asking === 'remove' ? chat.remove(room.c, user) : chat.role(room.c, user, 'owner'))}
          />
        `
      }
    </li>
  `
}

/** Asks in the row of a member or device. The focus is on the button that changes nothing. */
export const Question = (props: {
  text: string
  keep: string
  confirm: string
  onConfirm: () => void
  onClose: () => void
}) => {
  const keep = useRef<HTMLButtonElement>(null)
  useEffect(() => keep.current?.focus(), [])
  return html`
    <div class="question" role="alertdialog" aria-label=${props.text}>
      <span class="question-text" dir="auto">${props.text}</span>
      <button type="button" class="quiet" ref=${keep} onClick=${props.onClose}>${props.keep}</button>
      <button
        type="button"
        class="danger"
        onClick=${() => {
          props.onClose()
          props.onConfirm()
        }}
      >
        ${props.confirm}
      </button>
    </div>
  `
}
