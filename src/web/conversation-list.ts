import { html } from 'htm/preact'
import { useEffect, useState } from 'preact/hooks'
import type { InboxItem } from '../events/index.ts'
import { Avatar } from './avatar.ts'
import type { Chat } from './chat.ts'
import type { DialogName } from './dialog.ts'
import { formatBriefly, formatNames, formatPrecisely, summaryOf } from './format.ts'
import { Icon, IconButton } from './icons.ts'
import { filtered, nameOf, sorted } from './inbox.ts'
import { InvitationList } from './invitation-list.ts'
import { NotificationButton } from './notification-button.ts'
import { addressOf } from './route.ts'

/** The user's conversations, the latest message first, and a filter by name. */
export const ConversationList = (props: {
  chat: Chat
  onDialog: (name: DialogName) => void
  onSignOut: () => void
}) => {
  const { chat } = props
  const [filter, setFilter] = useState('')
  const isFiltering = filter.trim() !== ''
  const items = isFiltering ? filtered(sorted(chat.inbox), filter) : sorted(chat.inbox)
  // The filter is over all conversations, so the rest of the list is loaded.
  const { inboxCursor } = chat
  useEffect(() => {
    if (isFiltering && inboxCursor !== undefined) void chat.moreInbox()
  }, [chat, isFiltering, inboxCursor])
  return html`
    <header class="sidebar-header">
      <${Avatar} id=${chat.me} size="small" />
      <span class="me" dir="auto">${chat.me}</span>
      <${NotificationButton} chat=${chat} />
      <${IconButton} name="search" label="Search messages" onClick=${() => props.onDialog('search')} />
      <${IconButton} name="plus" label="New conversation" onClick=${() => props.onDialog('create')} />
      <${IconButton} name="shield" label="Privacy" onClick=${() => props.onDialog('privacy')} />
      <${IconButton} name="devices" label="Devices" onClick=${() => props.onDialog('devices')} />
      <${IconButton} name="leave" label="Sign out" onClick=${props.onSignOut} />
    </header>
    ${
      chat.inbox.size > 0 &&
      html`
        <div class="filter">
          <input
            type="search"
            aria-label="Filter conversations"
            placeholder="Filter conversations"
            maxlength="200"
            autocomplete="off"
            dir="auto"
            value=${filter}
            onInput=${(event: InputEvent) => setFilter((event.target as HTMLInputElement).value)}
            onKeyDown=${(event: KeyboardEvent) => {
              if (event.key === 'Escape') setFilter('')
              else if (event.key === 'ArrowDown')
                document.querySelector<HTMLElement>('.conversation')?.focus()
              else return
              event.preventDefault()
            }}
          />
        </div>
      `
    }
    <${InvitationList} chat=${chat} />
    <nav class="conversations" id="conversations" tabindex="-1" aria-label="Conversations" onScroll=${(event: Event) => loadMore(chat, event)}>
      ${
        !chat.inboxLoaded
          ? html`<${Skeleton} />`
          : chat.inbox.size > 0 && items.length === 0
            ? html`<p class="empty muted" role="status">No conversation has this name.</p>`
            : items.length === 0
              ? html`
              <div class="empty">
                <p>No conversations yet.</p>
                <p class="muted">Write to a user, start a group, or join a channel.</p>
                <button type="button" class="primary" onClick=${() => props.onDialog('create')}>New conversation</button>
              </div>
            `
              : html`
              <ul role="list" onKeyDown=${moveFocus}>
                ${items.map(item => html`<li key=${item.c}><${Conversation} chat=${chat} item=${item} /></li>`)}
              </ul>
            `
      }
    </nav>
  `
}

const Conversation = ({ chat, item }: { chat: Chat; item: InboxItem }) => {
  const { lastMessage: last, unread } = item
  const name = nameOf(item)
  const open = chat.room?.c === item.c
  const typists = chat.typists.in(item.c)
  const typing = item.kind === 'direct' ? 'typing …' : `${formatNames(typists, 2)} typing …`
  const author = last?.from === chat.me ? 'You:' : item.kind === 'direct' ? '' : `${last?.from}:`
  return html`
    <a
      class="conversation"
      href=${addressOf(item.c)}
      aria-current=${open ? 'page' : undefined}
      data-unread=${unread > 0 && !item.muted}
      data-muted=${item.muted}
      data-c=${item.c}
    >
      <${Avatar}
        id=${item.peer ?? item.c}
        name=${name}
        channel=${item.kind === 'channel'}
        presence=${item.peer === undefined ? undefined : chat.presence.get(item.peer)}
      />
      <span class="conversation-name" dir="auto">${name}${item.muted && html` <span class="is-muted"><${Icon} name="bell-off" /><span class="sr-only">, muted</span></span>`}${item.archived === true && html` <span class="is-muted"><${Icon} name="archive" /><span class="sr-only">, archived</span></span>`}</span>
      <time class="conversation-time" datetime=${item.at} title=${formatPrecisely(item.at)}>${formatBriefly(item.at)}</time>
      <span class=${`conversation-last ${typists.length > 0 ? 'is-typing' : ''}`}>
        ${
          typists.length > 0
            ? typing
            : last === null
              ? 'No messages yet'
              : html`${author !== '' && html`<bdi class="author">${author}</bdi>${' '}`}<span class="conversation-text" dir="auto">${summaryOf(last)}</span>`
        }
      </span>
      ${
        unread > 0 &&
        html`<span class="badge"><span aria-hidden="true">${unread > 999 ? '999+' : unread}</span><span class="sr-only">${unread} unread</span></span>`
      }
    </a>
  `
}

const Skeleton = () => html`
  <div class="skeleton" aria-hidden="true">
    ${[62, 48, 71, 55, 66].map(
      width => html`
        <div class="skeleton-row" key=${width}>
          <span class="skeleton-avatar" />
          <span class="skeleton-lines">
            <span style=${{ width: `${width}%` }} /><span style=${{ width: `${130 - width}%` }} />
          </span>
        </div>
      `,
    )}
  </div>
  <p class="sr-only" role="status">Loading conversations</p>
`

/** Arrows, Home and End move between conversations. */
const moveFocus = (event: KeyboardEvent): void => {
  const links = [...(event.currentTarget as HTMLElement).querySelectorAll<HTMLElement>('.conversation')]
  const at = links.indexOf(document.activeElement as HTMLElement)
  const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: links.length - 1 }[event.key]
  if (to === undefined) return
  event.preventDefault()
  links[Math.max(0, Math.min(links.length - 1, to))]?.focus()
}

const loadMore = (chat: Chat, { currentTarget }: Event): void => {
  const { scrollHeight, scrollTop, clientHeight } = currentTarget as HTMLElement
  if (scrollHeight - scrollTop - clientHeight < 400) void chat.moreInbox()
}
