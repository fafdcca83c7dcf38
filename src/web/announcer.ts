import { html } from 'htm/preact'
import { useEffect, useState } from 'preact/hooks'
import type { Chat } from './chat.ts'
import { nameOf } from './inbox.ts'

/** Tells screen readers of new messages: the text of those in the open conversation, and that there is one elsewhere. */
export const Announcer = ({ chat }: { chat: Chat }) => {
  const [said, say] = useState('')
  useEffect(
    () =>
      chat.onEvent(event => {
        if (event.type !== 'message.posted' || event.from === chat.me) return
        const item = chat.inbox.get(event.c)
        if (event.c === chat.room?.c) say(`${event.from}: ${event.text}`)
        else if (item !== undefined && !item.muted) say(`New message from ${event.from} in ${nameOf(item)}`)
      }),
    [chat],
  )
  return html`<div class="sr-only" role="status" aria-live="polite" data-announcer>${said}</div>`
}
