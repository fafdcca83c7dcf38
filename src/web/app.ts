import { html } from 'htm/preact'
import { useEffect, useReducer, useState } from 'preact/hooks'
import { Announcer } from './announcer.ts'
import type { Chat } from './chat.ts'
import { ConnectionNotice } from './connection-notice.ts'
import { ConversationList } from './conversation-list.ts'
import { CreateDialog } from './create-dialog.ts'
import { DevicesDialog } from './devices-dialog.ts'
import type { DialogName } from './dialog.ts'
import { Icon } from './icons.ts'
import { nameOf, unreadTotal } from './inbox.ts'
import { MembersDialog } from './members-dialog.ts'
import { PrivacyDialog } from './privacy-dialog.ts'
import { RoomPane } from './room-pane.ts'
import { conversationOfAddress, goTo } from './route.ts'
import { SearchDialog } from './search-dialog.ts'
import { Toast, ToastContext } from './toast.ts'

export const App = ({ chat, onSignOut }: { chat: Chat; onSignOut: (why?: string) => void }) => {
  const [, update] = useReducer<number, void>(n => n + 1, 0)
  const [dialog, setDialog] = useState<DialogName | undefined>(undefined)

  useEffect(() => {
    chat.subscribe(() => update())
    const follow = (): void => chat.open(conversationOfAddress())
    const keys = (event: KeyboardEvent): void => {
      if (event.key.toLowerCase() !== 'k' || !(event.ctrlKey || event.metaKey)) return
      event.preventDefault()
      // One dialog at a time.
      if (document.querySelector('dialog[open]') === null) setDialog('search')
    }
    follow()
    update()
    addEventListener('hashchange', follow)
    addEventListener('keydown', keys)
    return () => {
      removeEventListener('hashchange', follow)
      removeEventListener('keydown', keys)
    }
  }, [chat])

  const { room } = chat
  const item = room === undefined ? undefined : chat.inbox.get(room.c)
  const unread = unreadTotal(chat.inbox)
  useEffect(() => {
    const name = item === undefined ? 'confab' : `${nameOf(item)} · confab`
    document.title = unread > 0 ? `(${unread}) ${name}` : name
  })
  // The user left the conversation, or was removed.
  useEffect(() => {
    if (chat.room === undefined && conversationOfAddress() !== undefined) goTo(undefined)
  }, [chat, room])

  const close = (): void => setDialog(undefined)
  return html`<${ToastContext.Provider} value=${chat}>
    <a class="skip" href=${room === undefined ? '#conversations' : '#composer'} onClick=${skipTo}>
      ${room === undefined ? 'Skip to the conversations' : 'Skip to the message box'}
    </a>
    <main class="app" data-pane=${room === undefined ? 'list' : 'room'}>
      <${ConnectionNotice} chat=${chat} onSignOut=${onSignOut} />
      <div class="sidebar">
        <h1 class="sr-only">confab</h1>
        <${ConversationList} chat=${chat} onDialog=${setDialog} onSignOut=${() => onSignOut()} />
      </div>
      ${
        room === undefined
          ? html`
            <section class="nothing-open" aria-label="Nothing open">
              <span class="mark"><${Icon} name="bubbles" /></span>
              <h2>Nothing open</h2>
              <p class="muted">Pick a conversation, or start a new one.</p>
              <button type="button" class="primary" onClick=${() => setDialog('create')}>New conversation</button>
            </section>
          `
          : html`<${RoomPane} key=${room.c} chat=${chat} room=${room} onDialog=${setDialog} />`
      }
    </main>
    ${dialog === 'create' && html`<${CreateDialog} chat=${chat} onClose=${close} />`}
    ${dialog === 'devices' && html`<${DevicesDialog} chat=${chat} onClose=${close} />`}
    ${dialog === 'members' && room !== undefined && html`<${MembersDialog} chat=${chat} room=${room} onClose=${close} />`}
    ${dialog === 'privacy' && html`<${PrivacyDialog} chat=${chat} onClose=${close} />`}
    ${dialog === 'search' && html`<${SearchDialog} chat=${chat} onClose=${close} />`}
    ${dialog === 'search-here' && html`<${SearchDialog} chat=${chat} c=${room?.c} onClose=${close} />`}
    <${Announcer} chat=${chat} />
    <${Toast} />
  <//>`
}

const skipTo = (event: MouseEvent): void => {
  event.preventDefault()
  const target = document.getElementById('composer') ?? document.getElementById('conversations')
  target?.focus()
}
