import { html } from 'htm/preact'
import { useCallback, useEffect, useMemo, useReducer, useRef, useState } from 'preact/hooks'
import type { Chat } from './chat.ts'
import { formatDay, formatNotice } from './format.ts'
import { Icon } from './icons.ts'
import type { MessageActions } from './message-actions.ts'
import { MessageRow } from './message-row.ts'
import { PendingRow } from './pending-row.ts'
import type { Room } from './room.ts'
import { RowWindow } from './row-window.ts'
import { type Row, toRows } from './rows.ts'
import type { Notice } from './timeline.ts'
import { useScroll } from './use-scroll.ts'

/** The messages of a conversation, by day; loads more at both ends while scrolling. */
export const TimelineView = ({
  chat,
  room,
  actions,
}: {
  chat: Chat
  room: Room
  actions: MessageActions
}) => {
  const [active, setActive] = useState<string | undefined>(undefined)
  const { timeline } = room

  const onLook = useCallback(
    (seq: number) => {
      if (document.visibilityState !== 'visible' || !document.hasFocus()) return
      const unread = room.newer ? (chat.inbox.get(room.c)?.unread ?? 0) : timeline.unreadAfter(seq, chat.me)
      chat.marks.seen(room.c, seq, unread)
    },
    [chat, room, timeline],
  )
  const rowWindow = useRef(new RowWindow())
  const [, update] = useReducer<number, void>(n => n + 1, 0)
  /** Shows more rows at one end: those that are loaded, else those of the server. */
  const onEdge = useCallback(
    (edge: 'top' | 'bottom') => {
      if (edge === 'top' ? rowWindow.current.up() : rowWindow.current.down()) update()
      else void chat.attempt(edge === 'top' ? room.loadOlder() : room.loadNewer())
    },
    [chat, room],
  )

  const { version } = timeline
  const rows = useMemo(
    () => toRows(timeline.entries, { me: chat.me, unreadAfter: room.unreadAfter }),
    [timeline, version, chat, room.unreadAfter],
  )
  const isFirst = useRef(true)
  const wanted = wantedRow(rows, room, isFirst.current)
  if (room.loaded) isFirst.current = false
  if (room.wantsEnd) rowWindow.current.toEnd()
  const shown = rowWindow.current.of(rows, wanted)
  const isEnd = !shown.after && !room.newer
  const { box, atEnd, onScroll } = useScroll(
    room,
    { older: shown.before || room.older, newer: !isEnd },
    onLook,
    onEdge,
  )

  // Returning to the page counts as reading it.
  useEffect(() => {
    addEventListener('focus', onScroll)
    document.addEventListener('visibilitychange', onScroll)
    return () => {
      removeEventListener('focus', onScroll)
      document.removeEventListener('visibilitychange', onScroll)
    }
  }, [onScroll])

  const pending = isEnd ? chat.client.pending(room.c).filter(p => timeline.message(p.m) === undefined) : []
  const readers = room.readers(chat.me)
  const lastMessage = shown.rows.findLast(row => row.kind === 'message')
  /** The message that Tab focuses; arrows move from there. */
  const tabStop = shown.rows.some(row => row.key === active) ? active : lastMessage?.key
  const item = chat.inbox.get(room.c)
  const unread = item?.unread ?? 0
  const isArchived = item?.archived === true

  const show = (row: Row) => {
    switch (row.kind) {
      case 'day':
        return html`<li key=${row.key} class="day"><span>${formatDay(row.at)}</span></li>`
      case 'unread':
        return html`<li key=${row.key} class="unread-line" data-unread-line><span>New messages</span></li>`
      case 'notice':
        return html`<li key=${row.key} class="notice" dir="auto"><${NoticeText} notice=${row.notice} me=${chat.me} /></li>`
      case 'message': {
        const { message, lead } = row
        const quoted = message.replyTo === undefined ? undefined : room.quoted(message.replyTo)
        return html`
          <${MessageRow}
            key=${row.key}
            message=${message}
            quoted=${quoted}
            lead=${lead}
            me=${chat.me}
            active=${active === message.m}
            tabStop=${tabStop === message.m}
            mayDelete=${message.from === chat.me || room.roleOf(chat.me) === 'owner' || room.roleOf(chat.me) === 'admin'}
            canPost=${!isArchived}
            readers=${readers.get(message.m)?.join(' ') ?? ''}
            actions=${actions}
            onActive=${setActive}
          />
        `
      }
    }
  }

  return html`
    <div class="timeline-frame">
      <div class="timeline" ref=${box} onScroll=${onScroll} onMouseLeave=${() => setActive(undefined)}>
        ${
          !room.loaded
            ? html`<${Skeleton} />`
            : html`
              <div class="timeline-start">
                ${
                  shown.before || room.older
                    ? html`<span class="spinner" aria-hidden="true" /><span class="sr-only">Loading older messages</span>`
                    : html`<p class="muted">This is the start of the conversation.</p>`
                }
              </div>
              <ol role="list" class="messages" aria-label="Messages" onKeyDown=${moveFocus}>
                ${shown.rows.map(show)}
                ${pending.map(
                  message =>
                    html`<${PendingRow} key=${message.m} message=${message} me=${chat.me} isOnline=${chat.connectivity.isOnline} actions=${actions} />`,
                )}
              </ol>
            `
        }
      </div>
      ${
        room.loaded &&
        !atEnd &&
        html`
          <button type="button" class="to-end" onClick=${() => void chat.attempt(room.latest())}>
            <${Icon} name="down" />
            <span>${unread > 0 ? `${unread} new` : 'Latest'}</span>
          </button>
        `
      }
    </div>
  `
}

/** Index of the row that the next render scrolls to; -1: none. */
const wantedRow = (rows: readonly Row[], room: Room, isFirst: boolean): number => {
  if (room.target !== undefined) return rows.findIndex(row => row.key === room.target)
  return isFirst && !room.wantsEnd ? rows.findIndex(row => row.kind === 'unread') : -1
}

const NoticeText = ({ notice, me }: { notice: Notice; me: string }) => {
  const [what, title] = formatNotice(notice, me)
  return title === undefined ? what : html`${what} “<bdi>${title}</bdi>”`
}

const Skeleton = () => html`
  <div class="skeleton skeleton-messages" aria-hidden="true">
    ${[44, 72, 31, 58, 66, 40].map(
      width => html`
        <div class="skeleton-row" key=${width}>
          <span class="skeleton-avatar" />
          <span class="skeleton-lines"><span style=${{ width: '18%' }} /><span style=${{ width: `${width}%` }} /></span>
        </div>
      `,
    )}
  </div>
  <p class="sr-only" role="status">Loading messages</p>
`

/** Arrows, Home and End move between messages; Escape returns to the composer. */
const moveFocus = (event: KeyboardEvent): void => {
  const messages = [...(event.currentTarget as HTMLElement).querySelectorAll<HTMLElement>('.message')]
  const inside = (event.target as HTMLElement).closest<HTMLElement>('.message')
  if (event.key === 'Escape') document.getElementById('composer')?.focus()
  if (inside === null || event.target !== inside) return
  const at = messages.indexOf(inside)
  const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: messages.length - 1 }[event.key]
  if (to === undefined) return
  event.preventDefault()
  if (to >= messages.length) document.getElementById('composer')?.focus()
  else messages[Math.max(0, to)]?.focus()
}
