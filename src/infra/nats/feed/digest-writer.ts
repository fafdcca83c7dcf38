import type { Subscription } from '@nats-io/transport-node'
import type { LiveEvent, LiveFeed } from '../../../commands/index.ts'
import { partitionOf } from '../../../events/index.ts'
import type { Nats } from '../client/connection.ts'
import { CommandsNodes } from '../commands/commands-nodes.ts'
import { DigestDraft, DigestSubject, digestSubject, requestLifeMs } from './digest.ts'

export interface DigestWriterOptions {
  /** Longest time that an event waits for its digest, ms. It delays the nodes that follow digests. Default 10. */
  readonly everyMs?: number
  /** The name under which this commands node accepts commands at present. */
  readonly node: () => string | undefined
  /** The region of this node, in a system of several. A digest describes the copy of the stream in one region. */
  readonly region?: string | undefined
}

const defaultEveryMs = 10
/** Shortest interval between two digests of an idle stream, ms. All requesting nodes receive each of them. */
const idleEveryMs = 500

/**
 * Writes the digests of streams while edge nodes request them, on a node that follows all events anyway. The commands
 * nodes divide the streams among themselves as they divide the conversations. They need not agree: a digest is true
 * whichever node wrote it, and readers ignore duplicates. Where a digest is missing, its readers read the log.
 */
export class DigestWriter {
  readonly #nats: Nats
  readonly #feed: LiveFeed
  readonly #options: DigestWriterOptions
  readonly #drafts = new Map<string, DigestDraft>()
  #nodes: CommandsNodes | undefined
  #subscription: Subscription | undefined
  /** Time of the last request, and of the last digests of idle streams, as by `performance.now()`. */
  #requestedAt = Number.NEGATIVE_INFINITY
  #idleAt = Number.NEGATIVE_INFINITY
  #timer: NodeJS.Timeout | undefined

  /** Create it before the feed starts. */
  constructor(nats: Nats, feed: LiveFeed, options: DigestWriterOptions) {
    this.#nats = nats
    this.#feed = feed
    this.#options = options
    feed.listen(event => this.#add(event))
  }

  /** Accepts requests from now on. The feed has to be started. */
  start(): void {
    this.#nodes = new CommandsNodes(this.#nats, () => this.#openDrafts(), this.#options.region)
    this.#subscription = this.#nats.subscribe(DigestSubject.request, () => this.#requested())
  }

  stop(): void {
    this.#subscription?.unsubscribe()
    this.#nodes?.close()
    clearTimeout(this.#timer)
    this.#drafts.clear()
  }

  #requested(): void {
    this.#requestedAt = performance.now()
    // Drop them now, not when another node appears: the next request shows that the other node has received one, too.
    for (const stream of this.#drafts.keys()) if (!this.#isMine(stream)) this.#drafts.delete(stream)
    this.#openDrafts()
    if (this.#requestedAt - this.#idleAt < idleEveryMs) return
    this.#idleAt = this.#requestedAt
    for (const stream of this.#drafts.keys()) this.#publish(stream)
  }

  /** Opens a draft for each stream that is assigned to this node. */
  #openDrafts(): void {
    if (performance.now() - this.#requestedAt >= requestLifeMs) return
    for (const { stream, streamSeq } of this.#feed.positions())
      if (!this.#drafts.has(stream) && this.#isMine(stream))
        this.#drafts.set(stream, new DigestDraft(streamSeq))
  }

  #isMine(stream: string): boolean {
    const node = this.#options.node()
    return node !== undefined && this.#nodes?.of(partitionOf(stream)) === node
  }

  #add(event: LiveEvent): void {
    if (this.#drafts.size === 0) return
    const { stream, streamSeq } = event
    let draft = this.#drafts.get(stream)
    if (draft === undefined) return
    // The stream lost its last messages and continues before the end of the draft.
    if (streamSeq <= draft.last) {
      draft = new DigestDraft(streamSeq - 1)
      this.#drafts.set(stream, draft)
    }
    draft.add(event)
    if (draft.isFull) this.#publish(stream)
    else this.#timer ??= setTimeout(() => this.#publishAll(), this.#options.everyMs ?? defaultEveryMs).unref()
  }

  #publishAll(): void {
    this.#timer = undefined
    if (performance.now() - this.#requestedAt >= requestLifeMs) this.#drafts.clear()
    for (const [stream, draft] of this.#drafts) if (!draft.isEmpty) this.#publish(stream)
  }

  #publish(stream: string): void {
    const draft = this.#drafts.get(stream)
    const position = this.#feed.position(stream) ?? 0
    this.#drafts.set(stream, new DigestDraft(position))
    if (draft === undefined || position < draft.last) return
    const digest = draft.encode(position)
    const maxBytes = this.#nats.connection.info?.max_payload ?? 0
    // Without a digest its readers read the log. nats.js would keep the message for the next connection.
    if (digest.length <= maxBytes && this.#nats.connected())
      this.#nats.connection.publish(digestSubject(stream), digest)
  }
}
