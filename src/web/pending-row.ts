import { html } from 'htm/preact'
import type { PendingMessage } from '../client/index.ts'
import { Avatar } from './avatar.ts'
import type { MessageActions } from './message-actions.ts'
import { MessageText } from './message-text.ts'

/** A message of the user that is pending or was refused. */
export const PendingRow = ({
  message,
  me,
  isOnline,
  actions,
}: {
  message: PendingMessage
  me: string
  isOnline: boolean
  actions: MessageActions
}) => html`
  <li class=${`message is-lead is-mine is-${message.state}`} data-pending=${message.state}>
    <${Avatar} id=${me} />
    <div class="message-body">
      <div class="byline">
        <span class="name">${me}</span>
        ${
          message.state === 'failed'
            ? html`<span class="problem">Not sent: <bdi>${message.error?.message}</bdi></span>`
            : html`<span class="muted">${stateOf(message, isOnline)}</span>`
        }
      </div>
      ${message.text !== '' && html`<${MessageText} text=${message.text} />`}
      ${(message.attachments?.length ?? 0) > 0 && html`<p class="text muted" dir="auto">${message.attachments?.map(({ name }) => name).join(', ')}</p>`}
      ${
        message.state === 'failed' &&
        html`
          <div class="pending-actions">
            <button type="button" class="link" onClick=${() => actions.retry(message.m)}>Send again</button>
            <button type="button" class="link" onClick=${() => actions.discard(message.m)}>Discard</button>
          </div>
        `
      }
    </div>
  </li>
`

const stateOf = ({ state }: PendingMessage, isOnline: boolean): string => {
  if (state === 'sent') return 'Sent'
  return isOnline ? 'Sending …' : 'Will be sent when you are online'
}
