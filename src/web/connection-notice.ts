import { html } from 'htm/preact'
import type { Chat } from './chat.ts'

/** Shows the state of a lost connection. Always rendered, so screen readers announce a change. */
export const ConnectionNotice = ({ chat, onSignOut }: { chat: Chat; onSignOut: (why?: string) => void }) => {
  const { state } = chat.client
  return html`
    <div class="connection" role="status" data-state=${state}>
      ${
        state === 'closed'
          ? html`
            <span>${chat.ended ?? 'Signed out.'}</span>
            <button type="button" class="link" onClick=${() => onSignOut(chat.ended)}>Sign in again</button>
          `
          : state === 'waiting'
            ? html`
              <span>No connection. Trying again …</span>
              <button type="button" class="link" onClick=${() => chat.client.connect().catch(() => {})}>Try now</button>
            `
            : state === 'connecting' && html`<span>Connecting …</span>`
      }
    </div>
  `
}
