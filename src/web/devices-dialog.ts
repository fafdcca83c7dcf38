import { html } from 'htm/preact'
import { useEffect, useState } from 'preact/hooks'
import type { SessionItem } from '../events/index.ts'
import type { Chat } from './chat.ts'
import { deviceLabel } from './device-name.ts'
import { Dialog } from './dialog.ts'
import { formatBriefly, formatPrecisely } from './format.ts'
import { IconButton } from './icons.ts'
import { Question } from './members-dialog.ts'

const transports: Readonly<Record<SessionItem['transport'], string>> = {
  websocket: 'A connected app',
  'event-stream': 'An app that only listens',
  grpc: 'A service',
}

/** The sessions of the user, and the way to log a lost device out. */
export const DevicesDialog = ({ chat, onClose }: { chat: Chat; onClose: () => void }) => {
  const [sessions, setSessions] = useState<readonly SessionItem[] | undefined>(undefined)
  const request = (end?: string): void =>
    void chat.attempt(
      chat.client
        .request('sessions', end === undefined ? {} : { end })
        .then(answer => setSessions(answer.sessions)),
    )
  useEffect(() => request(), [])
  return html`
    <${Dialog} title="Devices" onClose=${onClose}>
      <p class="muted">You are signed in on these devices. Log out a device that you lost.</p>
      ${sessions === undefined && html`<p class="muted" role="status">Loading devices …</p>`}
      <ul role="list" class="members">
        ${sessions?.map(item => html`<${Device} key=${item.session} item=${item} onEnd=${() => request(item.session)} />`)}
      </ul>
    <//>
  `
}

const Device = ({ item, onEnd }: { item: SessionItem; onEnd: () => void }) => {
  const [asking, setAsking] = useState(false)
  const { session, device, transport, address, since, active, current } = item
  const name = deviceLabel(device) ?? transports[transport]
  return html`
    <li class="member device" data-session=${session}>
      <span class="member-name">
        <bdi>${name}</bdi>${current && html` <span class="muted">this device</span>`}${' '}
        <span class="muted device-facts">
          ${address !== undefined && html`<bdi>${address}</bdi>${', '}`}
          since <time datetime=${since} title=${formatPrecisely(since)}>${formatBriefly(since)}</time>,
          active <time datetime=${active} title=${formatPrecisely(active)}>${formatBriefly(active)}</time>
        </span>
      </span>
      ${!current && html`<${IconButton} name="leave" label=${`Log out ${name}`} onClick=${() => setAsking(true)} />`}
      ${
        asking &&
        html`
          <${Question}
            text=${`Log out ${name}? It needs to sign in again.`}
            keep="Cancel"
            confirm="Log out"
            onClose=${() => setAsking(false)}
            onConfirm=${onEnd}
          />
        `
      }
    </li>
  `
}
