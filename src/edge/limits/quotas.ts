import type { Logger } from '../../base/logger.ts'
import { ConfabError } from '../../events/index.ts'
import type { EdgeLimits } from '../ports/edge-limits.ts'
import type { LimitName } from '../ports/edge-metrics.ts'
import { type QuotaKind, quotaKinds } from '../ports/quota-limits.ts'
import type { QuotaStore } from '../ports/quota-store.ts'

const dayMs = 86_400_000
/** Interval of exchanges with the store, ms. */
const exchangeMs = 1_000
/** Part of a quota that a node may count for a user before it writes the count. */
const unwrittenPart = 100
/** Longest time that a node keeps a count to itself, and that it keeps a user that does nothing, ms. */
const idleMs = 600_000
/** Users in one exchange. */
const batch = 1_000

const indexOf = Object.fromEntries(quotaKinds.map((kind, index) => [kind, index])) as Record<
  QuotaKind,
  number
>

/** The counts of a user today. */
class Usage {
  readonly user: string
  day = 0
  /** The counts of all nodes at the last exchange; this node's unwritten counts are in `own`. */
  readonly stored = quotaKinds.map(() => 0)
  readonly own = quotaKinds.map(() => 0)
  usedAt = 0

  constructor(user: string) {
    this.user = user
  }

  get hasOwn(): boolean {
    return this.own.some(count => count !== 0)
  }

  begin(day: number): void {
    this.day = day
    this.stored.fill(0)
    this.own.fill(0)
  }
}

type QuotaLimits = Pick<EdgeLimits, QuotaKind | 'meters'>

/**
 * Limits how much each user adds to the durable stores in a day, on all nodes together. A node counts in memory, so no
 * request waits for the store. It reads a user's counts within a second after the user's first request. It writes its
 * own when they are a hundredth of a quota, when they are ten minutes old, and when it stops. So a user may exceed a
 * quota by about a hundredth of it on each node, and by the requests of a second; a crash loses as much.
 */
export class Quotas {
  readonly #limits: QuotaLimits
  readonly #store: QuotaStore | undefined
  readonly #onRefused: (limit: LimitName) => void
  readonly #logger: Logger
  readonly #usages = new Map<string, Usage>()
  /** Usages that the next exchange reads or writes. */
  #due = new Set<Usage>()
  readonly #timer: NodeJS.Timeout
  #exchanging: Promise<void> | undefined
  #checkedAt = 0
  #isFailing = false

  /** Without a store, each node counts for itself. */
  constructor(
    parts: { store: QuotaStore | undefined; onRefused: (limit: LimitName) => void; logger: Logger },
    limits: QuotaLimits,
  ) {
    this.#limits = limits
    this.#store = parts.store
    this.#onRefused = parts.onRefused
    this.#logger = parts.logger
    this.#timer = setInterval(() => void this.exchange(), exchangeMs).unref()
  }

  /** Counts a command. Throws ConfabError QUOTA_EXCEEDED, and then counts nothing. */
  takeCommand(user: string, bytes: number, newConversations: number, addedUsers: number): void {
    const usage = this.#usageOf(user)
    this.#require(usage, 'events', 1)
    this.#require(usage, 'eventBytes', bytes)
    if (newConversations > 0) this.#require(usage, 'newConversations', newConversations)
    if (addedUsers > 0) this.#require(usage, 'addedUsers', addedUsers)
    this.#countCommand(usage, 1, bytes, newConversations, addedUsers)
  }

  /** Reverts the count of a command that appended nothing. */
  giveCommandBack(user: string, bytes: number, newConversations: number, addedUsers: number): void {
    this.#countCommand(this.#usageOf(user), -1, bytes, newConversations, addedUsers)
  }

  #countCommand(
    usage: Usage,
    sign: 1 | -1,
    bytes: number,
    newConversations: number,
    addedUsers: number,
  ): void {
    this.#count(usage, 'events', sign)
    this.#count(usage, 'eventBytes', sign * bytes)
    if (newConversations > 0) this.#count(usage, 'newConversations', sign * newConversations)
    if (addedUsers > 0) this.#count(usage, 'addedUsers', sign * addedUsers)
  }

  /** Counts an announced upload. Throws ConfabError QUOTA_EXCEEDED, and then counts nothing. */
  takeUpload(user: string, bytes: number): void {
    const usage = this.#usageOf(user)
    this.#require(usage, 'uploads', 1)
    this.#require(usage, 'openUploads', 1)
    this.#take(usage, 'uploadBytes', bytes)
    this.#count(usage, 'uploads', 1)
    this.#count(usage, 'openUploads', 1)
  }

  /** Reverts the count of an upload that was not started. */
  giveUploadBack(user: string, bytes: number): void {
    const usage = this.#usageOf(user)
    this.#count(usage, 'uploads', -1)
    this.#count(usage, 'openUploads', -1)
    this.#count(usage, 'uploadBytes', -bytes)
  }

  /** An upload of the user is verified, or dropped. */
  uploadEnded(user: string): void {
    this.#count(this.#usageOf(user), 'openUploads', -1)
  }

  /** Exchanges the counts that are due with the store. Never rejects. */
  async exchange(): Promise<void> {
    // One at a time: counts that are being written are still among the node's own.
    while (this.#exchanging !== undefined) await this.#exchanging
    const now = Date.now()
    if (now - this.#checkedAt > idleMs / 10) this.#check(now)
    if (this.#due.size === 0) return
    this.#exchanging = this.#exchange(now).finally(() => {
      this.#exchanging = undefined
    })
    await this.#exchanging
  }

  /** Writes all counts. Never rejects. */
  async stop(): Promise<void> {
    clearInterval(this.#timer)
    for (const usage of this.#usages.values()) if (usage.hasOwn) this.#due.add(usage)
    await this.exchange()
  }

  async #exchange(now: number): Promise<void> {
    const due = [...this.#due].filter(({ day }) => day === dayOf(now))
    this.#due = new Set(due.slice(batch))
    const users = due.slice(0, batch)
    if (this.#store === undefined || users.length === 0) return
    const written = new Map(users.map(usage => [usage.user, [...usage.own]]))
    try {
      const totals = await this.#store.add(dayOf(now), written)
      for (const usage of users) {
        if (usage.day !== dayOf(now)) continue
        for (const [index, total] of (totals.get(usage.user) ?? []).entries()) {
          usage.stored[index] = total
          usage.own[index]! -= written.get(usage.user)![index]!
        }
      }
      this.#isFailing = false
    } catch (error) {
      for (const usage of users) this.#due.add(usage)
      if (!this.#isFailing) this.#logger.warn({ err: error }, 'quotas not exchanged, retrying')
      this.#isFailing = true
    }
  }

  /** Marks old counts as due, and forgets users that do nothing. */
  #check(now: number): void {
    this.#checkedAt = now
    for (const usage of this.#usages.values()) {
      if (usage.hasOwn) this.#due.add(usage)
      if (now - usage.usedAt > idleMs) this.#usages.delete(usage.user)
    }
  }

  #usageOf(user: string): Usage {
    const now = Date.now()
    let usage = this.#usages.get(user)
    if (usage === undefined) {
      if (this.#usages.size >= this.#limits.meters) this.#forgetOldest()
      usage = new Usage(user)
      this.#usages.set(user, usage)
    }
    usage.usedAt = now
    const day = dayOf(now)
    if (usage.day !== day) {
      usage.begin(day)
      this.#due.add(usage)
    }
    return usage
  }

  #forgetOldest(): void {
    for (const [user, usage] of this.#usages) {
      if (usage.hasOwn) this.#due.add(usage)
      this.#usages.delete(user)
      return
    }
  }

  #take(usage: Usage, kind: QuotaKind, count: number): void {
    this.#require(usage, kind, count)
    this.#count(usage, kind, count)
  }

  #require(usage: Usage, kind: QuotaKind, count: number): void {
    const quota = this.#limits[kind]
    const index = indexOf[kind]
    if (quota === 0 || usage.stored[index]! + usage.own[index]! + count <= quota) return
    this.#onRefused('quota')
    throw new ConfabError(
      'QUOTA_EXCEEDED',
      `The daily quota of this user is used up: ${descriptions[kind]}.`,
      {
        retryAfterMs: dayMs - (Date.now() % dayMs),
      },
    )
  }

  #count(usage: Usage, kind: QuotaKind, count: number): void {
    const quota = this.#limits[kind]
    if (quota === 0) return
    const index = indexOf[kind]
    usage.own[index]! += count
    if (Math.abs(usage.own[index]!) * unwrittenPart >= quota) this.#due.add(usage)
  }
}

const dayOf = (ms: number): number => Math.floor(ms / dayMs)

const descriptions: Readonly<Record<QuotaKind, string>> = {
  events: 'commands',
  eventBytes: 'bytes of commands',
  newConversations: 'new conversations',
  uploads: 'uploads',
  openUploads: 'uploads that are not completed',
  uploadBytes: 'bytes of uploads',
  addedUsers: 'added and invited users',
}
