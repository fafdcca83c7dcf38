import { html } from 'htm/preact'
import { useEffect, useState } from 'preact/hooks'
import type { Chat } from './chat.ts'
import { summaryOf } from './format.ts'
import { nameOf } from './inbox.ts'

/** Announces new messages to screen readers: the text in the open conversation, and a notice for others. */
export const Announcer = ({ chat }: { chat: Chat }) => {
  const [said, say] = useState('')
  useEffect(
    () =>
      chat.onEvent(event => {
        if (event.type !== 'message.posted' || event.deleted || event.from === chat.me) return
        const item = chat.inbox.get(event.c)
        if (event.c === chat.room?.c) say(`${event.from}: ${summaryOf(event)}`)
        else if (item !== undefined && !item.muted) say(`New message from ${event.from} in ${nameOf(item)}`)
      }),
    [chat],
  )
  return html`<div class="sr-only" role="status" aria-live="polite" dir="auto" data-announcer>${said}</div>`
}
