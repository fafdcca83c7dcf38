import { html } from 'htm/preact'
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks'
import type { MemberItem, Role } from '../events/index.ts'
import { Avatar } from './avatar.ts'
import type { Chat } from './chat.ts'
import { Dialog } from './dialog.ts'
import { formatUntil } from './format.ts'
import { IconButton } from './icons.ts'
import type { Room } from './room.ts'

const rank: Record<Role, number> = { owner: 2, admin: 1, member: 0 }

/** The members of a conversation with their roles, and the changes that the user may make. */
export const MembersDialog = ({ chat, room, onClose }: { chat: Chat; room: Room; onClose: () => void }) => {
  const item = chat.inbox.get(room.c)
  const mine = room.roleOf(chat.me) ?? 'member'
  const open = item?.kind !== 'direct'
  const leads = open && rank[mine] > 0
  useEffect(() => {
    if (leads) void chat.attempt(Promise.all([room.loadBans(), room.loadInvitations()]))
  }, [chat, room, leads])
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
          <${Invited} chat=${chat} room=${room} />
          <${Bans} chat=${chat} room=${room} />
        `
      }
      <${Actions} chat=${chat} room=${room} open=${open} leads=${leads} onClose=${onClose} />
    <//>
  `
}

/** The actions of the user on the conversation as a whole. */
const Actions = (props: { chat: Chat; room: Room; open: boolean; leads: boolean; onClose: () => void }) => {
  const { chat, room, open, leads, onClose } = props
  const [leaving, setLeaving] = useState(false)
  const isArchived = chat.inbox.get(room.c)?.archived === true
  const thenClose = (act: () => Promise<boolean>) => async () => {
    if (await act()) onClose()
  }
  return html`
    <section aria-label="Conversation">
      <h3>Conversation</h3>
      <p class="muted">A hidden conversation returns with its next message.</p>
      <div class="dialog-actions">
        ${
          leads &&
          html`
            <button type="button" class="quiet" onClick=${() => void chat.archive(room.c, !isArchived)}>
              ${isArchived ? 'Open it again' : 'Archive'}
            </button>
          `
        }
        <button type="button" class="quiet" onClick=${thenClose(() => chat.hide(room.c))}>Hide</button>
        ${open && html`<button type="button" class="quiet" onClick=${() => setLeaving(true)}>Leave</button>`}
      </div>
      ${
        leaving &&
        html`
          <${Question}
            text="Leave the conversation? You will not see it any more."
            keep="Stay"
            confirm="Leave"
            onClose=${() => setLeaving(false)}
            onConfirm=${thenClose(() => chat.leave(room.c))}
          />
        `
      }
    </section>
  `
}

/** The users who have not answered their invitation, for owners and admins. */
const Invited = ({ chat, room }: { chat: Chat; room: Room }) =>
  room.invited.length > 0 &&
  html`
    <section aria-label="Invited users">
      <h3>Invited</h3>
      <ul role="list" class="members">
        ${room.invited.map(
          ({ user, by }) => html`
            <li key=${user} class="member invited" data-user=${user}>
              <${Avatar} id=${user} size="small" />
              <span class="member-name" dir="auto">${user}</span>
              <span class="muted member-state">by <bdi>${by}</bdi></span>
              <button type="button" class="quiet" aria-label=${`Withdraw the invitation of ${user}`} onClick=${() => void chat.remove(room.c, user)}>Withdraw</button>
            </li>
          `,
        )}
      </ul>
    </section>
  `

/** The banned users of a conversation, for its owners and admins. */
const Bans = ({ chat, room }: { chat: Chat; room: Room }) =>
  room.bans.length > 0 &&
  html`
    <section aria-label="Banned users">
      <h3>Banned</h3>
      <ul role="list" class="members">
        ${room.bans.map(
          ({ user, until }) => html`
            <li key=${user} class="member banned" data-user=${user}>
              <${Avatar} id=${user} size="small" />
              <span class="member-name" dir="auto">${user}</span>
              <span class="muted member-state">${until === undefined ? '' : `until ${formatUntil(until)}`}</span>
              <button type="button" class="quiet" aria-label=${`Unban ${user}`} onClick=${() => void chat.unban(room.c, user)}>Unban</button>
            </li>
          `,
        )}
      </ul>
    </section>
  `

/** A change of a member that takes something away: it needs a second click. */
type Asking = 'remove' | 'ban' | 'own'

const questions: Record<
  Asking,
  {
    readonly text: (user: string) => string
    readonly confirm: string
    readonly act: (chat: Chat, c: string, user: string) => Promise<boolean>
  }
> = {
  remove: {
    text: user => `Remove ${user} from the conversation?`,
    confirm: 'Remove',
    act: (chat, c, user) => chat.remove(c, user),
  },
  ban: {
    text: user => `Ban ${user}? ${user} is removed, and cannot return until the ban is lifted.`,
    confirm: 'Ban',
    act: (chat, c, user) => chat.ban(c, user),
  },
  own: {
    text: user => `Make ${user} an owner? An owner can do all that you can, and take your role from you.`,
    confirm: 'Make owner',
    act: (chat, c, user) => chat.role(c, user, 'owner'),
  },
}

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
        html`
          <span class="member-actions">
            <${IconButton} name="close" label=${`Remove ${user}`} onClick=${() => setAsking('remove')} />
            <${IconButton} name="ban" label=${`Ban ${user}`} onClick=${() => setAsking('ban')} />
          </span>
        `
      }
      ${
        asking !== undefined &&
        html`
          <${Question}
            text=${questions[asking].text(user)}
            keep="Cancel"
            confirm=${questions[asking].confirm}
            onClose=${() => setAsking(undefined)}
            onConfirm=${() => void questions[asking].act(chat, room.c, user)}
          />
        `
      }
    </li>
  `
}

/** Asks in place, such as in the row of a member or device. The focus is on the button that changes nothing. */
export const Question = (props: {
  text: string
  keep: string
  confirm: string
  onConfirm: () => void
  onClose: () => void
}) => {
  const keep = useRef<HTMLButtonElement>(null)
  useLayoutEffect(() => keep.current?.focus(), [])
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
