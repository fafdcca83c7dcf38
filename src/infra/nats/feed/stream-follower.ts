import { setTimeout as sleep } from 'node:timers/promises'
import type { LiveEvent, PassedListener } from '../../../commands/index.ts'
import type { StoredEvent } from '../../../events/index.ts'
import type { LogReader } from '../log/log-reader.ts'
import { asLive } from '../log/stored-message.ts'
import type { Digest } from './digest.ts'

/** Events that came ahead of a hole and are kept until it is filled; beyond, they are read from the log again. */
const maxHeld = 4_096
const fillBatch = 500
const fillBytes = 1024 * 1024
/** How long what was stored may still be on its way before it counts as lost, ms; where digests have to tell of it first, longer. */
const graceMs = 100
const digestGraceMs = 500
const lookAgainMs = 10
/** Checks in a row at which digests may be late. */
const mostLate = 3
/** Digests that wait for the log to be read; beyond, what they tell of is read there too. */
const maxDigests = 256

export interface FollowerOptions {
  readonly reader: LogReader
  readonly deliver: (event: LiveEvent) => void
  /** Of what is told of, and not brought nor wanted. */
  readonly passed: PassedListener
  readonly wants: (c: string) => boolean
  /** Digests are followed, and do not tell of what was stored, or too late. */
  readonly untold: () => void
  readonly notice: (notice: string) => void
}

/**
 * One stream's part of the live feed: hands on its events in order, each once, from what the feed brings and, where that has a hole or a tail is missing,
 * from the log. What a digest tells of need not come, unless it is wanted.
 */
export class StreamFollower {
  readonly stream: string
  readonly #options: FollowerOptions
  readonly #reader: LogReader
  readonly #held = new Map<number, LiveEvent>()
  /** Undefined until it is known where to start. */
  #position: number | undefined
  /** The highest sequence that is known to have been stored. */
  #target = 0
  #isFilling = false
  #check: Promise<void> | undefined
  #behind = 0
  /** Checks in a row at which digests were late. */
  #late = 0
  /** Events that were handed on. */
  #brought = 0
  #isStopped = false
  /** Digests that are not worked through, and how far the first of them is. */
  #digests: Digest[] = []
  #worked = 0
  /** Whether what is wanted alone is brought, and digests tell of the rest: a hole is no loss then. */
  isNarrow = false
  /** When (`performance.now()`) the last digest came. */
  toldAt = Number.NEGATIVE_INFINITY
  /** When (`performance.now()`) it last knew that it had everything up to then. */
  completeAt = Number.NEGATIVE_INFINITY

  constructor(stream: string, options: FollowerOptions) {
    this.stream = stream
    this.#options = options
    this.#reader = options.reader
  }

  get position(): number | undefined {
    return this.#position
  }

  /** Starts at the stream's end as it is now; what came since the feed was subscribed to is not lost. */
  async start(): Promise<number> {
    const asked = performance.now()
    const { last } = await this.#reader.bounds(this.stream)
    this.#position = last
    this.completeAt = asked
    const early = [...this.#held.values()]
    this.#held.clear()
    for (const event of early) this.accept(event)
    return last
  }

  stop(): void {
    this.#isStopped = true
  }

  /** An event that the feed brought: the next, a copy of an earlier one, or one after a hole. */
  accept(event: LiveEvent): void {
    const { streamSeq } = event
    if (this.#position !== undefined) {
      if (streamSeq <= this.#position) return
      if (streamSeq === this.#position + 1) {
        this.#advance(event)
        if (this.#held.size > 0) this.#release()
        return
      }
    }
    if (this.#held.size < maxHeld) this.#held.set(streamSeq, event)
    if (!this.isNarrow) this.#read(streamSeq)
  }

  /** What the stream has stored, as somebody tells who has all of it. */
  told(digest: Digest): void {
    this.toldAt = performance.now()
    if (this.#position === undefined || digest.to <= this.#position) return
    if (this.#digests.length < maxDigests) this.#digests.push(digest)
    this.#work()
  }

  /** Works digests through, until there is no more of them, or something has to be read first. */
  #work(): void {
    for (let digest = this.#digests[0]; digest !== undefined; digest = this.#digests[0]) {
      if (this.#isFilling) return
      const missing = digest.from > (this.#position ?? 0) ? digest.from : this.#workThrough(digest)
      if (missing !== undefined) {
        this.#read(missing)
        return
      }
      this.#digests.shift()
      this.#worked = 0
    }
    if (this.#held.size > 0) this.#release()
  }

  /** Hands on what a digest tells of, as far as it is here. Up to where it has to be read, when something is wanted that is not here. */
  #workThrough(digest: Digest): number | undefined {
    const { from, to, offsets, ids, seqs, wholes } = digest
    const { passed, wants } = this.#options
    for (; this.#worked < ids.length; this.#worked++) {
      const streamSeq = from + offsets[this.#worked]!
      if (streamSeq <= (this.#position ?? 0)) continue
      const event = this.#held.get(streamSeq) ?? wholes.get(this.#worked)
      const c = ids[this.#worked]!
      if (event !== undefined) {
        this.#held.delete(streamSeq)
        this.#advance(event)
      } else if (wants(c)) return this.#lastMissing(digest)
      else {
        this.#position = streamSeq
        passed(c, seqs[this.#worked]!, { stream: this.stream, streamSeq })
      }
    }
    this.#position = Math.max(this.#position ?? 0, to)
    return undefined
  }

  /** The last sequence of a digest that is wanted and is not here: one read for all of them, where nobody has subscribed to a busy conversation. */
  #lastMissing({ from, offsets, ids, wholes }: Digest): number {
    const streamSeqOf = (index: number): number => from + offsets[index]!
    const isHere = (index: number): boolean => wholes.has(index) || this.#held.has(streamSeqOf(index))
    let index = ids.length - 1
    while (index > this.#worked && (isHere(index) || !this.#options.wants(ids[index]!))) index--
    return streamSeqOf(index)
  }

  /** Has the log read up to a sequence at least. */
  #read(upTo: number): void {
    this.#target = Math.max(this.#target, upTo)
    if (this.#position !== undefined) void this.#fill()
  }

  /**
   * Compares with the stream's last sequence and gets what is missing. After a reconnect there is nothing on its way (`graceMs` 0).
   * Never rejects; one at a time.
   */
  check(afterReconnect = false): Promise<void> {
    this.#check ??= this.#compare(afterReconnect ? 0 : this.isNarrow ? digestGraceMs : graceMs)
      .catch(() => {
        // Not reached: `completeAt` stays, which says it.
      })
      .finally(() => {
        this.#check = undefined
      })
    return this.#check
  }

  async #compare(patienceMs: number): Promise<void> {
    if (this.#position === undefined) return
    const asked = performance.now()
    const positionThen = this.#position
    const { last, isLed } = await this.#reader.bounds(this.stream)
    // The others may have gone on: nothing is known of the end.
    if (!isLed) return
    // Looks are counted, not time: while this process stands still, nothing can come.
    for (let looks = patienceMs / lookAgainMs; this.#position < last && looks > 0; looks--)
      await sleep(lookAgainMs)
    const wasTold = patienceMs === digestGraceMs
    if (this.#position >= last) this.#late = 0
    else if (!wasTold || !this.#isBeingTold(asked)) {
      const brought = this.#brought
      this.#target = Math.max(this.#target, last)
      await this.#fill()
      // What is none of confab's nobody tells of while nothing else happens.
      if (wasTold && this.#brought > brought) this.#options.untold()
    }
    if (last < positionThen) this.#rewind(last)
    else this.#behind = 0
    if (this.#position >= last) this.completeAt = Math.max(this.completeAt, asked)
  }

  /** Whether digests tell of what is missing: they come, if late, and the next one shows where they have a hole; or it is being read already. */
  #isBeingTold(asked: number): boolean {
    return (this.toldAt > asked || this.#isFilling) && ++this.#late < mostLate
  }

  /** The log is shorter than it was: its tail was lost with its disk. A deposed leader may claim so for a moment, hence twice. */
  #rewind(last: number): void {
    if (++this.#behind < 2) return
    this.#behind = 0
    this.#options.notice(`${this.stream} lost its tail: it ends at ${last}, ${this.#position} was seen`)
    this.#position = last
    this.#target = last
    this.#held.clear()
    this.#digests = []
    this.#worked = 0
  }

  async #fill(): Promise<void> {
    if (this.#isFilling) return
    this.#isFilling = true
    let failures = 0
    while (this.#position !== undefined && this.#position < this.#target && !this.#isStopped)
      try {
        const events = await this.#reader.batch(this.stream, {
          seq: this.#position + 1,
          // What comes after it is not wanted.
          batch: this.isNarrow ? Math.min(fillBatch, this.#target - this.#position) : fillBatch,
          max_bytes: fillBytes,
        })
        for (const event of events) this.#acceptStored(event)
        if (events.length === 0) await this.#askLeader()
        failures = 0
      } catch {
        await sleep(Math.min(50 * 2 ** failures++, 1_000))
      }
    this.#isFilling = false
    if (this.#digests.length > 0 && !this.#isStopped) this.#work()
  }

  /** The replica that answered has nothing more. Either it is behind, or what was there has been deleted. */
  async #askLeader(): Promise<void> {
    if (this.#position === undefined) return
    const told = this.#digests.length
    const { last } = await this.#reader.bounds(this.stream)
    const next = await this.#reader.leader(this.stream, { seq: this.#position + 1, next_by_subj: '>' })
    if (next !== undefined) this.#acceptStored(next)
    else {
      this.#position = Math.max(this.#position, Math.min(last, this.#target))
      this.#target = Math.min(this.#target, this.#position)
      // What was told of beyond the end is lost, with the stream's tail, and would be asked for over and over.
      this.#digests = this.#digests.filter(({ to }, index) => index >= told || to <= last)
      this.#worked = 0
      this.#release()
    }
  }

  /** An event that the log had next: what lies between was deleted there, or has come in the meantime. */
  #acceptStored(event: StoredEvent): void {
    if (this.#position === undefined || event.streamSeq <= this.#position) return
    if (event.streamSeq > this.#position + 1 && this.#held.size > 0) this.#releaseUpTo(event.streamSeq)
    this.#advance(asLive(event))
    if (this.#held.size > 0) this.#release()
  }

  /** Hands on what is held and follows. */
  #release(): void {
    for (;;) {
      const event = this.#held.get((this.#position ?? 0) + 1)
      if (event === undefined) break
      this.#held.delete(event.streamSeq)
      this.#advance(event)
    }
    for (const streamSeq of this.#held.keys())
      if (streamSeq <= (this.#position ?? 0)) this.#held.delete(streamSeq)
  }

  #releaseUpTo(streamSeq: number): void {
    const sequences = [...this.#held.keys()].filter(held => held < streamSeq).sort((a, b) => a - b)
    for (const sequence of sequences) {
      const event = this.#held.get(sequence)
      this.#held.delete(sequence)
      if (event !== undefined && sequence > (this.#position ?? 0)) this.#advance(event)
    }
  }

  #advance(event: LiveEvent): void {
    this.#position = event.streamSeq
    // '': a message that is none of confab's.
    if (event.type === '') return
    this.#brought++
    this.#options.deliver(event)
  }
}
