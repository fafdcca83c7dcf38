import { type CommandBus, type Media, type MessageLookup, sweepMedia } from '../../commands/index.ts'
import type { Logger } from '../edge-options.ts'
import type { ConversationReader } from '../resume/conversation-reader.ts'

export interface MediaSweeperParts {
  readonly media: Media
  readonly bus: CommandBus
  /** Exact, however far the views lag. */
  readonly lookup: MessageLookup
  readonly reader: ConversationReader
  readonly logger: Logger
}

/** Clears away media that nobody needs, now and then: `sweepEveryMs`, less a random part, so that the nodes do not all come at once. */
export class MediaSweeper {
  readonly #parts: MediaSweeperParts
  #timer: NodeJS.Timeout | undefined
  #sweeping: Promise<void> = Promise.resolve()
  #stopped = false

  constructor(parts: MediaSweeperParts) {
    this.#parts = parts
  }

  start(): void {
    if (this.#stopped) return
    const wait = this.#parts.media.limits.sweepEveryMs * (0.5 + Math.random() / 2)
    this.#timer = setTimeout(() => {
      this.#sweeping = this.sweep().then(() => this.start())
    }, wait).unref()
  }

  /** Does so now. What goes wrong is logged, and tried the next time. */
  async sweep(): Promise<void> {
    const { media, logger } = this.#parts
    try {
      const swept = await sweepMedia({
        store: media.store,
        keepMs: media.limits.keepMs,
        wasSent: (c, m, mediaId) => this.#wasSent(c, m, mediaId),
      })
      if (swept.abandoned + swept.uploads > 0) logger.info(swept, 'media swept')
    } catch (error) {
      logger.warn({ err: error }, 'media could not be swept')
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true
    clearTimeout(this.#timer)
    await this.#sweeping
  }

  async #wasSent(c: string, m: string, mediaId: string): Promise<boolean> {
    const { bus, lookup, reader } = this.#parts
    const view = await bus.currentConversation(c)
    if (view === undefined) return false
    const found = await lookup.find(c, m, view.head)
    if (found === undefined) return false
    const [entry] = await reader.page(view, { after: found.seq - 1, limit: 1 })
    if (entry?.seq !== found.seq) throw new Error('an event that the log has was not found')
    const { attachments } = JSON.parse(new TextDecoder().decode(entry.data)) as {
      attachments?: { mediaId: string }[]
    }
    return attachments?.some(attachment => attachment.mediaId === mediaId) ?? false
  }
}
