import type { Subscription } from '@nats-io/transport-node'
import type { LiveEvent, LiveFeed } from '../../../commands/index.ts'
import { partitionOf } from '../../../events/index.ts'
import type { Nats } from '../client/connection.ts'
import { CommandMembers } from '../commands/command-members.ts'
import { DigestDraft, DigestSubject, digestSubject, wantedForMs } from './digest.ts'

export interface DigestWriterOptions {
  /** How long an event waits for others to be told of with it, ms: so much later it comes to whoever follows digests. Default 10. */
  readonly everyMs?: number
  /** The name under which this process decides commands at present. */
  readonly member: () => string | undefined
}

const defaultEveryMs = 10
/** How often it says that they are being written, where nothing happens too, ms: many may ask, and all of them hear it. */
const sayEveryMs = 500

/**
 * Writes the digests of streams while somebody follows them, in a process that follows everything anyway. The processes that decide commands share the streams out
 * among themselves as they do conversations. They need not agree: a digest says what is so, whoever wrote it, and nobody takes harm from two of it; where there is
 * none for a moment, its reader reads the log.
 */
export class DigestWriter {
  readonly #nats: Nats
  readonly #feed: LiveFeed
  readonly #options: DigestWriterOptions
  readonly #drafts = new Map<string, DigestDraft>()
  #members: CommandMembers | undefined
  #subscription: Subscription | undefined
  #wantedAt = Number.NEGATIVE_INFINITY
  #saidAt = Number.NEGATIVE_INFINITY
  #timer: NodeJS.Timeout | undefined

  /** Make it before the feed starts. */
  constructor(nats: Nats, feed: LiveFeed, options: DigestWriterOptions) {
    this.#nats = nats
    this.#feed = feed
    this.#options = options
    feed.listen(event => this.#saw(event))
  }

  /** From now on it writes when it is asked to. The feed has started. */
  start(): void {
    this.#members = new CommandMembers(this.#nats, () => this.#begin())
    this.#subscription = this.#nats.subscribe(DigestSubject.want, () => this.#wanted())
  }

  stop(): void {
    this.#subscription?.unsubscribe()
    this.#members?.close()
    clearTimeout(this.#timer)
    this.#drafts.clear()
  }

  #wanted(): void {
    this.#wantedAt = performance.now()
    // Here, not when another comes: that one has heard by now that they are wanted.
    for (const stream of this.#drafts.keys()) if (!this.#isMine(stream)) this.#drafts.delete(stream)
    this.#begin()
    if (this.#wantedAt - this.#saidAt < sayEveryMs) return
    this.#saidAt = this.#wantedAt
    for (const stream of this.#drafts.keys()) this.#write(stream)
  }

  /** Begins the digests that have come to it. */
  #begin(): void {
    if (performance.now() - this.#wantedAt >= wantedForMs) return
    for (const { stream, streamSeq } of this.#feed.positions())
      if (!this.#drafts.has(stream) && this.#isMine(stream))
        this.#drafts.set(stream, new DigestDraft(streamSeq))
  }

  #isMine(stream: string): boolean {
    const member = this.#options.member()
    return member !== undefined && this.#members?.of(partitionOf(stream)) === member
  }

  #saw(event: LiveEvent): void {
    if (this.#drafts.size === 0) return
    const { stream, streamSeq } = event
    let draft = this.#drafts.get(stream)
    if (draft === undefined) return
    // The stream has lost its tail, and goes on from before what was told of.
    if (streamSeq <= draft.last) {
      draft = new DigestDraft(streamSeq - 1)
      this.#drafts.set(stream, draft)
    }
    draft.add(event)
    if (draft.isLongEnough) this.#write(stream)
    else this.#timer ??= setTimeout(() => this.#writeAll(), this.#options.everyMs ?? defaultEveryMs).unref()
  }

  #writeAll(): void {
    this.#timer = undefined
    if (performance.now() - this.#wantedAt >= wantedForMs) this.#drafts.clear()
    for (const [stream, draft] of this.#drafts) if (!draft.isEmpty) this.#write(stream)
  }

  #write(stream: string): void {
    const draft = this.#drafts.get(stream)
    const position = this.#feed.position(stream) ?? 0
    this.#drafts.set(stream, new DigestDraft(position))
    if (draft === undefined || position < draft.last) return
    const digest = draft.encode(position)
    const most = this.#nats.connection.info?.max_payload ?? 0
    // Its readers read the log then. (nats.js would keep it for the next connection.)
    if (digest.length <= most && this.#nats.connected())
      this.#nats.connection.publish(digestSubject(stream), digest)
  }
}
