import { html } from 'htm/preact'
import { useMemo, useState } from 'preact/hooks'
import { Avatar } from './avatar.ts'
import type { Chat } from './chat.ts'
import { Composer } from './composer.ts'
import { DeleteDialog } from './delete-dialog.ts'
import type { DialogName } from './dialog.ts'
import { formatNames } from './format.ts'
import { Icon, IconButton } from './icons.ts'
import { nameOf } from './inbox.ts'
import type { MessageActions } from './message-actions.ts'
import type { Room } from './room.ts'
import { goTo } from './route.ts'
import type { Message } from './timeline.ts'
import { TimelineView } from './timeline-view.ts'

/** The open conversation: members, messages and composer. */
export const RoomPane = (props: { chat: Chat; room: Room; onDialog: (name: DialogName) => void }) => {
  const { chat, room, onDialog } = props
  const [deleting, setDeleting] = useState<Message | undefined>(undefined)
  const item = chat.inbox.get(room.c)
  const name = item === undefined ? room.c : nameOf(item)

  const actions = useMemo<MessageActions>(
    () => ({
      reply: message => {
        chat.drafts.reply(room.c, message)
        compose(chat)
      },
      edit: message => {
        chat.drafts.edit(room.c, message)
        compose(chat)
      },
      delete: setDeleting,
      react: (message, emoji, on) => void chat.react(room.c, message.m, emoji, on),
      goTo: m => void chat.attempt(room.jump(m)),
      mediaUrl: mediaId => chat.mediaUrls.of(room.c, mediaId),
      retry: m => chat.client.retry(room.c, m),
      discard: m => chat.client.discard(room.c, m),
    }),
    [chat, room],
  )
  const typists = chat.typists.in(room.c)
  return html`
    <section class="room" aria-label=${`Conversation ${name}`}>
      <header class="room-header">
        <${IconButton} name="back" label="Back to the list" class="back" onClick=${() => goTo(undefined)} />
        <${Avatar}
          id=${item?.peer ?? room.c}
          name=${name}
          channel=${item?.kind === 'channel'}
          size="small"
          presence=${item?.peer === undefined ? undefined : chat.presence.get(item.peer)}
        />
        <div class="room-title">
          <h1 dir="auto">${name}</h1>
          <p class="muted">${aboutRoom(chat, room)}</p>
        </div>
        ${
          item !== undefined &&
          html`
            <${IconButton}
              name=${item.muted ? 'bell-off' : 'bell'}
              label=${item.muted ? 'Unmute' : 'Mute'}
              class=${item.muted ? 'is-on' : ''}
              onClick=${() => void chat.mute(room.c, !item.muted)}
            />
          `
        }
        <${IconButton} name="search" label="Search in this conversation" onClick=${() => onDialog('search-here')} />
        <${IconButton} name="people" label="Members" onClick=${() => onDialog('members')} />
      </header>
      <${TimelineView} chat=${chat} room=${room} actions=${actions} />
      <p class="typing" role="status">
        ${
          typists.length > 0 &&
          html`<span class="dots" aria-hidden="true"><i /><i /><i /></span>${formatNames(typists)} ${typists.length === 1 ? 'is' : 'are'} typing`
        }
      </p>
      ${
        item?.archived === true
          ? html`<p class="archived" role="note"><${Icon} name="archive" />This conversation is archived. Nothing can be posted in it.</p>`
          : html`<${Composer} chat=${chat} room=${room} name=${name} />`
      }
    </section>
    ${
      deleting !== undefined &&
      html`
        <${DeleteDialog}
          message=${deleting}
          onClose=${() => setDeleting(undefined)}
          onDelete=${() => void chat.delete(room.c, deleting.m)}
        />
      `
    }
  `
}

/** Shows the changed draft. The focus moves at once: the next key belongs to the composer. */
const compose = (chat: Chat): void => {
  document.getElementById('composer')?.focus()
  chat.changed()
}

const aboutRoom = (chat: Chat, room: Room): string => {
  const item = chat.inbox.get(room.c)
  if (item?.peer !== undefined) return chat.presence.get(item.peer) ?? 'offline'
  const { length } = room.members
  if (length === 0) return ' '
  const online = room.members.filter(({ user }) => user === chat.me || chat.presence.get(user) === 'online')
  const count = `${length}${room.moreMembers ? '+' : ''} ${length === 1 ? 'member' : 'members'}`
  return `${count}, ${online.length} online`
}
