import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises'
import type { Msg, Subscription } from '@nats-io/transport-node'
import type { Interest } from '../../../commands/index.ts'
import { Family, livePrefix, subjectOf } from '../../../events/index.ts'
import type { Nats } from '../client/connection.ts'
import { DigestSubject, decodeDigest, wantEveryMs } from './digest.ts'
import { InterestSwitch, type Worth } from './interest-switch.ts'
import type { StreamFollower } from './stream-follower.ts'

/** `auto`: whatever is cheaper; else always the one, as long as it can be had. */
export type InterestMode = 'auto' | 'everything' | 'conversations'

export interface NarrowingParts {
  readonly nats: Nats
  readonly interest: Interest
  readonly followers: ReadonlyMap<string, StreamFollower>
  /** Takes what a subscription brings. */
  readonly receive: (msg: Msg, family: Family) => void
  /** Begins and ends the subscription to everything. */
  readonly everything: { start(): void; stop(): void }
  readonly mode: Exclude<InterestMode, 'everything'>
  readonly worth: Worth | undefined
  readonly notice: (notice: string) => void
}

/** How long digests may take to begin, ms. */
const beginMs = 5_000
/** How long it follows everything after digests were not to be had, or failed, ms. */
const backOffMs = 10_000
/** How long a conversation is followed after the last that wanted it has gone, ms: many come back. */
const lingerMs = 30_000
/** Subscriptions that are made in one turn of the loop. */
const slice = 512

/**
 * Follows less than everything while that costs less: the conversations that are wanted by a subscription each, and digests, which tell of all else. Whatever goes
 * wrong with that, everything is followed again.
 */
export class Narrowing {
  readonly #parts: NarrowingParts
  readonly #switch: InterestSwitch
  readonly #followed = new Map<string, Subscription>()
  /** Conversations that nobody wants any more, and since when. */
  readonly #leaving = new Map<string, number>()
  readonly #timer: NodeJS.Timeout
  #digests: Subscription | undefined
  #isNarrow = false
  /** A change is under way. */
  #changing: Promise<void> | undefined
  #isStopped = false
  #waitsUntil = Number.NEGATIVE_INFINITY
  /** Whether it has been told that no digests come. */
  #hasToldOfNone = false
  #asked = { events: 0, wanted: 0 }
  #arrivals = 0
  #conversations = 0
  #before: { at: number; events: number }

  constructor(parts: NarrowingParts) {
    this.#parts = parts
    this.#switch = new InterestSwitch(parts.worth)
    this.#before = { at: performance.now(), events: this.#events() }
    for (const _ of parts.interest.conversations()) this.#conversations++
    parts.interest.watch((c, isWanted) => this.#watched(c, isWanted))
    this.#timer = setInterval(() => this.#look(), wantEveryMs)
    this.#timer.unref()
  }

  /** Whether it follows conversations only. */
  get isNarrow(): boolean {
    return this.#isNarrow
  }

  /** How many subscriptions to conversations there are. */
  get conversations(): number {
    return this.#followed.size
  }

  /** Counts an event of a conversation, whether it is wanted: some of them will do. */
  saw(isWanted: boolean): void {
    this.#asked.events++
    if (isWanted) this.#asked.wanted++
  }

  /** Digests do not tell of what is stored: they cannot be relied on. */
  untold(): void {
    if (!this.#isNarrow || this.#isStopped) return
    this.#parts.notice('digests do not tell of all that is stored: everything is followed for a while')
    this.#backOff()
    this.#change(() => this.#widen())
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    clearInterval(this.#timer)
    await this.#changing
    this.#end()
  }

  #events(): number {
    let events = 0
    for (const { position } of this.#parts.followers.values()) events += position ?? 0
    return events
  }

  #look(): void {
    const now = performance.now()
    const events = this.#events()
    const seconds = (now - this.#before.at) / 1000
    const load = {
      events: (events - this.#before.events) / seconds,
      share: this.#asked.wanted / Math.max(1, this.#asked.events),
      conversations: this.#conversations,
      arrivals: this.#arrivals / seconds,
    }
    this.#before = { at: now, events }
    this.#asked = { events: 0, wanted: 0 }
    this.#arrivals = 0
    if (this.#digests !== undefined) this.#want()
    this.#forget(now)
    if (now < this.#waitsUntil || this.#changing !== undefined) return
    const narrow = this.#switch.isNarrow(load) || this.#parts.mode === 'conversations'
    if (narrow !== this.#isNarrow) this.#change(() => (narrow ? this.#narrow() : this.#widen()))
  }

  #change(step: () => Promise<void> | void): void {
    if (this.#isStopped) return
    const changing = (this.#changing ?? Promise.resolve())
      .then(step)
      .catch(error => {
        this.#parts.notice(`what is followed could not be changed: ${String(error)}`)
        if (!this.#isNarrow) this.#end()
      })
      .finally(() => {
        if (this.#changing === changing) this.#changing = undefined
      })
    this.#changing = changing
  }

  async #narrow(): Promise<void> {
    const { nats, followers, interest, everything, notice } = this.#parts
    const began = performance.now()
    this.#digests = nats.subscribe(DigestSubject.all, msg => this.#told(msg))
    this.#want()
    const isTold = (): boolean => [...followers.values()].every(({ toldAt }) => toldAt > began)
    while (!isTold() && !this.#isStopped && performance.now() - began < beginMs) await sleep(20)
    if (!isTold()) {
      this.#end()
      this.#backOff()
      if (!this.#hasToldOfNone) notice('no digests come: everything is followed')
      this.#hasToldOfNone = true
      return
    }
    this.#hasToldOfNone = false
    for (const c of interest.conversations()) {
      this.#follow(c)
      if (this.#followed.size % slice === 0) await turn()
    }
    for (const follower of followers.values()) follower.isNarrow = true
    this.#isNarrow = true
    // The server takes this after the subscriptions above: nothing falls between.
    everything.stop()
    notice(`follows ${this.#followed.size} conversations, and digests of everything`)
  }

  #widen(): void {
    // Each stream's follower may have found that it has to.
    if (!this.#isNarrow) return
    const { followers, everything, notice } = this.#parts
    everything.start()
    for (const follower of followers.values()) follower.isNarrow = false
    this.#isNarrow = false
    this.#end()
    // What came ahead of a hole, while those were no loss, waits for it to be looked at.
    for (const follower of followers.values()) void follower.check()
    notice('follows everything')
  }

  #backOff(): void {
    this.#waitsUntil = performance.now() + backOffMs
    this.#switch.widened()
  }

  /** Ends what is followed beside everything. */
  #end(): void {
    this.#digests?.unsubscribe()
    this.#digests = undefined
    for (const subscription of this.#followed.values()) subscription.unsubscribe()
    this.#followed.clear()
    this.#leaving.clear()
  }

  #want(): void {
    const { nats } = this.#parts
    if (nats.connected()) nats.connection.publish(DigestSubject.want)
  }

  #told(msg: Msg): void {
    try {
      const digest = decodeDigest(msg.subject, msg.data)
      this.#parts.followers.get(digest.stream)?.told(digest)
    } catch (error) {
      this.#parts.notice(`a digest makes no sense: ${String(error)}`)
    }
  }

  #watched(c: string, isWanted: boolean): void {
    this.#conversations += isWanted ? 1 : -1
    if (isWanted) this.#arrivals++
    if (this.#digests === undefined) return
    if (isWanted) this.#follow(c)
    else if (this.#followed.has(c)) this.#leaving.set(c, performance.now())
  }

  #follow(c: string): void {
    this.#leaving.delete(c)
    if (this.#followed.has(c)) return
    const subject = `${livePrefix}.${subjectOf({ family: Family.conversation, id: c })}`
    const listener = (msg: Msg): void => this.#parts.receive(msg, Family.conversation)
    this.#followed.set(c, this.#parts.nats.subscribe(subject, listener))
  }

  #forget(now: number): void {
    for (const [c, since] of this.#leaving) {
      if (now - since < lingerMs) return
      this.#leaving.delete(c)
      this.#followed.get(c)?.unsubscribe()
      this.#followed.delete(c)
    }
  }
}
