import { html } from 'htm/preact'
import type { PendingMessage } from '../client/index.ts'
import { Avatar } from './avatar.ts'
import type { MessageActions } from './message-actions.ts'

/** A message of the user that is pending or was refused. */
export const PendingRow = ({
  message,
  me,
  actions,
}: {
  message: PendingMessage
  me: string
  actions: MessageActions
}) => html`
  <li class=${`message is-lead is-mine is-${message.state}`} data-pending=${message.state}>
    <${Avatar} id=${me} />
    <div class="message-body">
      <div class="byline">
        <span class="name">${me}</span>
        ${
          message.state === 'failed'
            ? html`<span class="problem">Not sent: ${message.error?.message}</span>`
            : html`<span class="muted">${message.state === 'sending' ? 'Sending …' : 'Sent'}</span>`
        }
      </div>
      ${message.text !== '' && html`<p class="text">${message.text}</p>`}
      ${(message.attachments?.length ?? 0) > 0 && html`<p class="text muted">${message.attachments?.map(({ name }) => name).join(', ')}</p>`}
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
