import { html } from 'htm/preact'
import type { Chat } from './chat.ts'

/** Shows that the server does not answer. Always rendered, so screen readers announce a change. */
export const ConnectionNotice = ({ chat, onSignOut }: { chat: Chat; onSignOut: (why?: string) => void }) => {
  const { state } = chat.client
  const isSilent = state === 'open' && !chat.connectivity.isOnline
  return html`
    <div class="connection" role="status" data-state=${isSilent ? 'silent' : state}>
      ${
        state === 'closed'
          ? html`
            <span dir="auto">${chat.ended ?? 'Signed out.'}</span>
            <button type="button" class="link" onClick=${() => onSignOut(chat.ended ?? 'Signed out.')}>Sign in again</button>
          `
          : state === 'waiting' || isSilent
            ? html`
              <span>${navigator.onLine ? 'No connection. Trying again …' : 'No connection: this device is offline.'}</span>
              <button type="button" class="link" onClick=${() => chat.connectivity.reconnect()}>Try now</button>
            `
            : state === 'connecting' && html`<span>Connecting …</span>`
      }
    </div>
  `
}
