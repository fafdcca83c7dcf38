import type { MediaUrl } from './attachments.ts'
import type { Message } from './timeline.ts'

/** Actions on a message. One object for as long as a conversation is open. */
export interface MessageActions {
  reply(message: Message): void
  edit(message: Message): void
  delete(message: Message): void
  react(message: Message, emoji: string, on: boolean): void
  /** Scrolls to the message that another one replies to. */
  goTo(m: string): void
  readonly mediaUrl: MediaUrl
  retry(m: string): void
  discard(m: string): void
}
