import { html } from 'htm/preact'
import { Component } from 'preact'
import { Attachments } from './attachments.ts'
import { Avatar } from './avatar.ts'
import { formatClock, formatNames, formatPrecisely, formatTime, summaryOf } from './format.ts'
import { Icon } from './icons.ts'
import type { MessageActions } from './message-actions.ts'
import { MessageText } from './message-text.ts'
import { MessageTools } from './message-tools.ts'
import type { Message } from './timeline.ts'

interface Props {
  message: Message
  /** The message that this one replies to; `null`: it does not exist; undefined: not known yet. */
  quoted: Message | null | undefined
  /** Whether to show the author. */
  lead: boolean
  me: string
  /** Pointed at or focused: its tools are visible. */
  active: boolean
  tabStop: boolean
  mayDelete: boolean
  /** False in an archived conversation. */
  canPost: boolean
  /** Users whose last read message this is, separated by spaces. */
  readers: string
  actions: MessageActions
  onActive: (m: string) => void
}

/** One message. Rendered again only when it changed: there may be thousands. */
export class MessageRow extends Component<Props> {
  override shouldComponentUpdate(next: Props): boolean {
    return (Object.keys(next) as (keyof Props)[]).some(name => next[name] !== this.props[name])
  }

  override render({
    message,
    quoted,
    lead,
    me,
    active,
    tabStop,
    mayDelete,
    canPost,
    readers,
    actions,
    onActive,
  }: Props) {
    const mine = message.from === me
    const activate = (): void => onActive(message.m)
    return html`
      <li
        class=${`message ${lead ? 'is-lead' : ''} ${mine ? 'is-mine' : ''} ${active ? 'is-active' : ''}`}
        data-m=${message.m}
        data-seq=${message.seq}
        tabindex=${tabStop ? 0 : -1}
        onMouseEnter=${activate}
        onFocusIn=${activate}
        onClick=${activate}
        onKeyDown=${(event: KeyboardEvent) => shortcut(event, this.props)}
      >
        ${lead ? html`<${Avatar} id=${message.from} />` : html`<time class="aside-time" aria-hidden="true">${formatClock(message.at)}</time>`}
        <div class="message-body">
          ${
            lead
              ? html`
                <div class="byline">
                  <span class="name" dir="auto">${message.from}</span>
                  <time datetime=${message.at} title=${formatPrecisely(message.at)}>${formatTime(message.at)}</time>
                </div>
              `
              : html`<span class="sr-only">${message.from}, ${formatTime(message.at)}:</span>`
          }
          ${message.replyTo !== undefined && html`<${Quote} m=${message.replyTo} quoted=${quoted} goTo=${actions.goTo} />`}
          ${
            message.deleted
              ? html`<p class="text is-deleted">This message was deleted.</p>`
              : message.text !== '' && html`<${MessageText} text=${message.text} edited=${message.edited} />`
          }
          ${message.attachments.length > 0 && !message.deleted && html`<${Attachments} files=${message.attachments} mediaUrl=${actions.mediaUrl} />`}
          ${message.reactions.length > 0 && html`<${Reactions} message=${message} me=${me} canPost=${canPost} react=${actions.react} />`}
        </div>
        ${readers !== '' && html`<${Readers} users=${readers.split(' ')} />`}
        ${active && !message.deleted && html`<${MessageTools} message=${message} mine=${mine} mayDelete=${mayDelete} canPost=${canPost} actions=${actions} me=${me} />`}
      </li>
    `
  }
}

const Quote = ({
  m,
  quoted,
  goTo,
}: {
  m: string
  quoted: Message | null | undefined
  goTo: (m: string) => void
}) => html`
  <button type="button" class="quote" onClick=${() => goTo(m)}>
    <${Icon} name="reply" />
    <span class="sr-only">In answer to</span>
    ${
      quoted === undefined || quoted === null
        ? html`<span class="muted">${quoted === null ? 'a message that does not exist' : 'an earlier message …'}</span>`
        : html`<b dir="auto">${quoted.from}</b> <span dir="auto">${quoted.deleted ? 'a deleted message' : summaryOf(quoted)}</span>`
    }
  </button>
`

const Reactions = (props: {
  message: Message
  me: string
  canPost: boolean
  react: MessageActions['react']
}) => html`
  <ul role="list" class="reactions" aria-label="Reactions">
    ${props.message.reactions.map(({ emoji, users }) => {
      const mine = users.includes(props.me)
      return html`
        <li key=${emoji}>
          <button
            type="button"
            class="reaction"
            aria-pressed=${mine}
            disabled=${!props.canPost}
            title=${formatNames(users, 8)}
            aria-label=${`${emoji} ${users.length}: ${formatNames(users, 8)}`}
            onClick=${() => props.react(props.message, emoji, !mine)}
          >
            <span>${emoji}</span><span class="count">${users.length}</span>
          </button>
        </li>
      `
    })}
  </ul>
`

const Readers = ({ users }: { users: string[] }) => html`
  <span class="readers" title=${`Read by ${formatNames(users, 8)}`}>
    <span class="sr-only">Read by ${formatNames(users, 8)}</span>
    ${users.slice(0, 4).map(user => html`<${Avatar} key=${user} id=${user} size="tiny" />`)}
    ${users.length > 4 && html`<span class="muted" aria-hidden="true">+${users.length - 4}</span>`}
  </span>
`

/** Keys on a focused message: r replies, e edits, Delete deletes. */
const shortcut = (event: KeyboardEvent, { message, me, mayDelete, canPost, actions }: Props): void => {
  if (event.target !== event.currentTarget || event.ctrlKey || event.metaKey || event.altKey) return
  if (message.deleted) return
  const mine = message.from === me
  if (event.key === 'r' && canPost) actions.reply(message)
  else if (event.key === 'e' && mine && canPost) actions.edit(message)
  else if (event.key === 'Delete' && mayDelete) actions.delete(message)
  else return
  event.preventDefault()
}
