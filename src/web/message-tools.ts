import { html } from 'htm/preact'
import { useLayoutEffect, useRef, useState } from 'preact/hooks'
import { IconButton } from './icons.ts'
import type { MessageActions } from './message-actions.ts'
import type { Message } from './timeline.ts'

const emojis = ['👍', '❤️', '😂', '🎉', '😮', '😢', '🙏', '👀'] as const

/** The actions on the message that is pointed at or focused. */
export const MessageTools = (props: {
  message: Message
  mine: boolean
  mayDelete: boolean
  canPost: boolean
  me: string
  actions: MessageActions
}) => {
  const { message, mine, mayDelete, canPost, me, actions } = props
  const [picking, setPicking] = useState(false)
  const tools = useRef<HTMLDivElement>(null)
  useLayoutEffect(() => {
    if (tools.current !== null) place(tools.current)
  })
  const react = (emoji: string): void => {
    const on = !message.reactions.some(r => r.emoji === emoji && r.users.includes(me))
    actions.react(message, emoji, on)
    setPicking(false)
  }
  return html`
    <div class="tools" ref=${tools} role="group" aria-label="Message">
      ${
        picking &&
        html`
          <div
            class="emojis"
            role="group"
            aria-label="React with"
            onKeyDown=${(event: KeyboardEvent) => {
              if (event.key !== 'Escape') return
              event.stopPropagation()
              setPicking(false)
            }}
          >
            ${emojis.map(
              emoji =>
                html`<button type="button" key=${emoji} class="emoji" aria-label=${`React with ${emoji}`} onClick=${() => react(emoji)}>${emoji}</button>`,
            )}
          </div>
        `
      }
      ${canPost && html`<${IconButton} name="smile" label="React" aria-expanded=${picking} onClick=${() => setPicking(!picking)} />`}
      ${canPost && html`<${IconButton} name="reply" label="Reply" onClick=${() => actions.reply(message)} />`}
      ${canPost && mine && html`<${IconButton} name="pencil" label="Edit" onClick=${() => actions.edit(message)} />`}
      ${mayDelete && html`<${IconButton} name="trash" label="Delete" onClick=${() => actions.delete(message)} />`}
    </div>
  `
}

/** Distance to the edge of the timeline, px. */
const edgePx = 4

/** Places the tools above their message; below it, or at the top of the timeline, where they would be cut off. */
const place = (tools: HTMLElement): void => {
  const message = tools.parentElement?.getBoundingClientRect()
  const timeline = tools.closest('.timeline')?.getBoundingClientRect()
  if (message === undefined || timeline === undefined) return
  tools.style.top = ''
  tools.style.bottom = ''
  const { top, height } = tools.getBoundingClientRect()
  if (top >= timeline.top) return
  const isBelow = message.bottom + height <= timeline.bottom
  tools.style.top = `${isBelow ? message.height - edgePx : timeline.top - message.top + edgePx}px`
  tools.style.bottom = 'auto'
}
