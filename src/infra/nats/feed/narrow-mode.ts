import { setTimeout as sleep } from 'node:timers/promises'
import type { Msg, Subscription } from '@nats-io/transport-node'
import type { Interest } from '../../../commands/index.ts'
import { Family, livePrefix, subjectOf } from '../../../events/index.ts'
import type { Nats } from '../client/connection.ts'
import { Digest, DigestSubject, requestEveryMs } from './digest.ts'
import { IdSubscriptions } from './id-subscriptions.ts'
import { InterestSwitch, type Worth } from './interest-switch.ts'
import type { StreamFollower } from './stream-follower.ts'

/** `auto`: the cheaper mode. `everything` and `conversations` fix the mode; the latter needs digests. */
export type InterestMode = 'auto' | 'everything' | 'conversations'

/** Signals between edge nodes, which narrow together with the live feed. */
export interface Narrowable {
  narrow(): void
  widen(): void
}

export interface NarrowModeParts {
  readonly nats: Nats
  readonly interest: Interest
  readonly followers: ReadonlyMap<string, StreamFollower>
  /** Handles a message from the subscription to a conversation. */
  readonly receive: (msg: Msg) => void
  /** Starts and ends the subscriptions to all events. */
  readonly everything: { start(): void; stop(): void }
  readonly signals: Narrowable | undefined
  readonly mode: Exclude<InterestMode, 'everything'>
  readonly worth: Worth | undefined
  readonly notice: (notice: string) => void
}

/** Longest time to wait for the first digests, ms. */
const firstDigestsMs = 5_000
/** Time in which the feed stays wide after digests were missing or late, ms. */
const backOffMs = 10_000

/**
 * Narrows the live feed of a node while that costs less: the feed then subscribes to the conversations that the node
 * needs, and to digests, which describe all other events. When digests fail, the feed follows all events again.
 */
export class NarrowMode {
  readonly #parts: NarrowModeParts
  readonly #switch: InterestSwitch
  readonly #conversations: IdSubscriptions
  readonly #timer: NodeJS.Timeout
  #digests: Subscription | undefined
  #isNarrow = false
  /** The change of mode that is in progress. */
  #changing: Promise<void> | undefined
  #isStopped = false
  /** `performance.now()` until which the feed stays wide. */
  #wideUntil = Number.NEGATIVE_INFINITY
  /** Whether the last notice said that digests are missing. */
  #hasNoticedNoDigests = false
  /** Sampled events since the last check. */
  #sampled = { events: 0, needed: 0 }
  /** Conversations that got their first client since the last check. */
  #arrivals = 0
  /** Conversations with clients. */
  #withClients = 0
  #before: { at: number; events: number }

  constructor(parts: NarrowModeParts) {
    const { nats, interest, receive } = parts
    this.#parts = parts
    this.#switch = new InterestSwitch(parts.worth)
    this.#conversations = new IdSubscriptions(nats, {
      subjectOf: id => `${livePrefix}.${subjectOf({ family: Family.conversation, id })}`,
      receive,
    })
    this.#before = { at: performance.now(), events: this.#events() }
    for (const _ of interest.conversations()) this.#withClients++
    interest.watch((c, isNeeded) => this.#interestChanged(c, isNeeded))
    this.#timer = setInterval(() => this.#check(), requestEveryMs)
    this.#timer.unref()
  }

  get isNarrow(): boolean {
    return this.#isNarrow
  }

  /** Subscriptions to conversations. */
  get conversations(): number {
    return this.#conversations.size
  }

  /** Counts a sampled event. */
  sample(isNeeded: boolean): void {
    this.#sampled.events++
    if (isNeeded) this.#sampled.needed++
  }

  /** Makes the feed wide because digests are missing or late. */
  digestsFailed(): void {
    if (!this.#isNarrow || this.#isStopped) return
    this.#parts.notice(`digests are missing or late: following all events for ${backOffMs / 1000} s`)
    this.#backOff()
    this.#change(() => this.#widen())
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    clearInterval(this.#timer)
    await this.#changing
    this.#endSubscriptions()
  }

  #events(): number {
    let events = 0
    for (const { position } of this.#parts.followers.values()) events += position ?? 0
    return events
  }

  #check(): void {
    const now = performance.now()
    const events = this.#events()
    const seconds = (now - this.#before.at) / 1000
    const load = {
      events: (events - this.#before.events) / seconds,
      share: this.#sampled.needed / Math.max(1, this.#sampled.events),
      conversations: this.#withClients,
      arrivals: this.#arrivals / seconds,
    }
    this.#before = { at: now, events }
    this.#sampled = { events: 0, needed: 0 }
    this.#arrivals = 0
    if (this.#digests !== undefined) this.#requestDigests()
    this.#conversations.endUnneeded()
    if (now < this.#wideUntil || this.#changing !== undefined) return
    const narrow = this.#switch.isNarrow(load) || this.#parts.mode === 'conversations'
    if (narrow !== this.#isNarrow) this.#change(() => (narrow ? this.#narrow() : this.#widen()))
  }

  #change(step: () => Promise<void> | void): void {
    if (this.#isStopped) return
    const changing = (this.#changing ?? Promise.resolve())
      .then(step)
      .catch(error => {
        this.#parts.notice(`the interest of the live feed could not be changed: ${String(error)}`)
        if (!this.#isNarrow) this.#endSubscriptions()
      })
      .finally(() => {
        if (this.#changing === changing) this.#changing = undefined
      })
    this.#changing = changing
  }

  async #narrow(): Promise<void> {
    const { nats, followers, interest, everything, signals, notice } = this.#parts
    const startedAt = performance.now()
    this.#digests = nats.subscribe(DigestSubject.all, msg => this.#receiveDigest(msg))
    this.#requestDigests()
    const haveArrived = (): boolean => [...followers.values()].every(({ digestAt }) => digestAt > startedAt)
    while (!haveArrived() && !this.#isStopped && performance.now() - startedAt < firstDigestsMs)
      await sleep(20)
    if (!haveArrived()) {
      this.#endSubscriptions()
      this.#backOff()
      if (!this.#hasNoticedNoDigests) notice('no digests arrive: following all events')
      this.#hasNoticedNoDigests = true
      return
    }
    this.#hasNoticedNoDigests = false
    await this.#conversations.addAll(interest.conversations())
    for (const follower of followers.values()) follower.isNarrow = true
    this.#isNarrow = true
    // The server handles this after the subscriptions above, so that no event is lost in between.
    everything.stop()
    signals?.narrow()
    notice(`following ${this.#conversations.size} conversations, and digests of all streams`)
  }

  #widen(): void {
    // The followers of several streams may have asked for it.
    if (!this.#isNarrow) return
    const { followers, everything, signals, notice } = this.#parts
    everything.start()
    for (const follower of followers.values()) follower.isNarrow = false
    this.#isNarrow = false
    this.#endSubscriptions()
    // Events that arrived ahead of a gap wait for a check: while the feed was narrow, a gap was no loss.
    for (const follower of followers.values()) void follower.check()
    signals?.widen()
    notice('following all events')
  }

  #backOff(): void {
    this.#wideUntil = performance.now() + backOffMs
    this.#switch.reset()
  }

  /** Ends the subscriptions to digests and conversations. */
  #endSubscriptions(): void {
    this.#digests?.unsubscribe()
    this.#digests = undefined
    this.#conversations.clear()
  }

  #requestDigests(): void {
    const { nats } = this.#parts
    if (nats.connected()) nats.connection.publish(DigestSubject.request)
  }

  #receiveDigest(msg: Msg): void {
    try {
      const digest = new Digest(msg.subject, msg.data)
      this.#parts.followers.get(digest.stream)?.acceptDigest(digest)
    } catch (error) {
      this.#parts.notice(`a digest is invalid: ${String(error)}`)
    }
  }

  #interestChanged(c: string, isNeeded: boolean): void {
    this.#withClients += isNeeded ? 1 : -1
    if (isNeeded) this.#arrivals++
    if (this.#digests === undefined) return
    if (isNeeded) this.#conversations.add(c)
    else this.#conversations.remove(c)
  }
}
