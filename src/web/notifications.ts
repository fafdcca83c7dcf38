import type { ConversationEvent } from '../events/index.ts'
import { summaryOf } from './format.ts'
import { type Inbox, nameOf } from './inbox.ts'
import { goTo } from './route.ts'

const storageKey = 'confab.notifications'

/** `unsupported`: the browser has none, or this page is not served over HTTPS. `denied`: the user refused them. */
export type NotificationState = 'unsupported' | 'denied' | 'off' | 'on'

/** The state of the page that notifications need. */
interface NotificationSource {
  readonly me: string
  readonly inbox: Inbox
  changed(): void
  onEvent(listener: (event: ConversationEvent) => void): () => void
}

/**
 * Shows new messages of conversations that are not muted as notifications of the system, while the page is not in use.
 */
export class Notifications {
  readonly #chat: NotificationSource
  readonly #storage: Pick<Storage, 'getItem' | 'setItem'> | undefined
  readonly #stop: () => void

  constructor(chat: NotificationSource, storage: Pick<Storage, 'getItem' | 'setItem'> | undefined) {
    this.#chat = chat
    this.#storage = storage
    this.#stop = chat.onEvent(event => this.#notify(event))
  }

  get state(): NotificationState {
    if (!('Notification' in globalThis) || !isSecureContext) return 'unsupported'
    if (Notification.permission === 'denied') return 'denied'
    return Notification.permission === 'granted' && this.#storage?.getItem(storageKey) === 'on' ? 'on' : 'off'
  }

  /** Turns notifications on or off. Asks for the permission, so a gesture of the user has to call it. */
  async turn(on: boolean): Promise<void> {
    if (on) await Notification.requestPermission()
    this.#storage?.setItem(storageKey, on ? 'on' : 'off')
    this.#chat.changed()
  }

  close(): void {
    this.#stop()
  }

  #notify(event: ConversationEvent): void {
    if (
      event.type !== 'message.posted' ||
      event.deleted ||
      event.from === this.#chat.me ||
      this.state !== 'on'
    )
      return
    const { c, from } = event
    const item = this.#chat.inbox.get(c)
    if (item?.muted === true || (document.visibilityState === 'visible' && document.hasFocus())) return
    try {
      // One notification per conversation: a later message replaces the earlier one.
      const shown = new Notification(
        item === undefined || item.kind === 'direct' ? from : `${from} · ${nameOf(item)}`,
        {
          body: summaryOf(event).slice(0, 300),
          tag: `confab ${c}`,
          dir: 'auto',
          icon: '/icon.svg',
        },
      )
      shown.onclick = () => {
        focus()
        goTo(c)
        shown.close()
      }
    } catch {
      // Browsers of phones show notifications of service workers only.
    }
  }
}
