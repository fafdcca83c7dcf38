import type { CommandBus, MessageLookup, StateReader } from '../../commands/index.ts'
import type { Checkpoints } from './checkpoints.ts'
import type { ImportItem, ImportSource, SourcePosition } from './import-item.ts'
import { anySeq, ImportQueue, type Outcome } from './import-queue.ts'
import type { ImportRetry } from './import-retry.ts'

/** Counters of an import. */
export interface ImportCounts {
  /** Appended messages. */
  messages: number
  /** Messages that the log held already. */
  duplicates: number
  /** Appended joins and leaves of the source. */
  memberships: number
  /** Joins of senders that the import has added, because a sender has to be a member. */
  senderJoins: number
  /** Joins of members and leaves of others in the source. */
  unchanged: number
  /** Refused lines. */
  bad: number
  /** Lines without an item, by their form. */
  ignored: number
  /** Files with a checkpoint of an earlier run. */
  continued: number
  /** Bytes and lines of the files that are finished. */
  bytes: number
  lines: number
}

export interface ImporterOptions {
  readonly bus: CommandBus
  readonly states: StateReader
  readonly checkpoints: Checkpoints
  /** Finds messages in the log. */
  readonly lookup: MessageLookup
  /** Stops the import in an orderly way: items under way end, no new ones start. */
  readonly signal: AbortSignal
  readonly onBad: (path: string, line: number, reason: string) => void
  readonly retry: ImportRetry
}

/** Items under way, of all conversations. */
const maxOpen = 8_000
/** Time between two checkpoints of a file, ms. */
const checkpointEveryMs = 1_000

interface OpenBatch {
  open: number
  isComplete: boolean
  readonly end: SourcePosition
}

/** A file with items under way. */
interface OpenFile {
  readonly source: ImportSource
  readonly batches: OpenBatch[]
  isRead: boolean
  /** All items before this position are finished. */
  position: SourcePosition
  /**
   * Position of the first bad line, or `position`. Checkpoints stop here, so that the next run imports a repaired line.
   */
  checkpoint: SourcePosition
  savedAt: number
  saving: Promise<void>
}

/**
 * Imports files through the command bus: conversations in parallel, each in the order of the files. The log holds all
 * items before the checkpoint of a file. It may hold later ones too; their message ids identify them.
 */
export class Importer {
  readonly counts: ImportCounts = {
    messages: 0,
    duplicates: 0,
    memberships: 0,
    senderJoins: 0,
    unchanged: 0,
    bad: 0,
    ignored: 0,
    continued: 0,
    bytes: 0,
    lines: 0,
  }
  readonly #options: ImporterOptions
  readonly #queues = new Map<string, ImportQueue>()
  readonly #saving = new Set<Promise<void>>()
  #open = 0
  #wake: () => void = () => {}

  constructor(options: ImporterOptions) {
    this.#options = options
  }

  /** Reads a file and starts its items, as `maxOpen` allows. `finish` waits for items under way. */
  async add(source: ImportSource): Promise<void> {
    const { checkpoints, onBad, retry, signal } = this.#options
    const start = { bytes: 0, lines: 0, digest: '' }
    const file: OpenFile = {
      source,
      batches: [],
      isRead: false,
      position: start,
      checkpoint: start,
      savedAt: Date.now(),
      saving: Promise.resolve(),
    }
    const saved = await retry.untilSuccess(signal, () => checkpoints.load(source.key))
    if (saved !== undefined) this.counts.continued++
    for await (const { items, bad, ignored, end } of source.read(saved)) {
      for (const { line, reason } of bad) onBad(source.path, line, reason)
      this.counts.bad += bad.length
      this.counts.ignored += ignored
      const done = await retry.untilSuccess(signal, () => this.#finishedBefore(items))
      const open = items.filter((item, i) => item.kind === 'message' || i >= done)
      this.counts.unchanged += items.length - open.length
      const batch = { open: open.length, isComplete: bad.length === 0, end }
      file.batches.push(batch)
      for (const item of open) {
        while (this.#open >= maxOpen && !signal.aborted) await this.#untilProgress()
        if (signal.aborted) return
        this.#begin(file, batch, item)
      }
      this.#advance(file)
    }
    file.isRead = true
    this.#advance(file)
    // Count the bytes that a checkpoint skipped as finished.
    if (file.batches.length === 0) this.counts.bytes += source.bytes - file.position.bytes
  }

  /**
   * Returns the number of leading items whose joins and leaves an earlier run has finished: those before the last
   * message that the log holds. The command bus cannot recognise, for example, the join of a user who has left since.
   */
  async #finishedBefore(items: readonly ImportItem[]): Promise<number> {
    const { states, lookup } = this.#options
    if (items.every(({ kind }) => kind === 'message')) return 0
    for (const [i, item] of [...items.entries()].reverse())
      if (item.kind === 'message') {
        if ((await states.conversation(item.c)) === undefined) return 0
        if ((await lookup.find(item.c, item.m, anySeq)) !== undefined) return i
      }
    return 0
  }

  /** Waits until no item is under way and the checkpoints are saved. */
  async finish(): Promise<void> {
    while (this.#queues.size > 0) await this.#untilProgress()
    await Promise.all(this.#saving)
  }

  #untilProgress(): Promise<void> {
    return new Promise(resolve => {
      this.#wake = resolve
    })
  }

  #begin(file: OpenFile, batch: OpenBatch, item: ImportItem): void {
    this.#open++
    const done = (outcome: Outcome): void => {
      this.#open--
      batch.open--
      this.#count(file, item, outcome)
      if (outcome.kind === 'refused') batch.isComplete = false
      if (batch.open === 0) this.#advance(file)
      if (this.#open < maxOpen / 2) this.#wake()
    }
    this.#queueOf(item.c).push({ item, title: file.source.title, done })
  }

  #queueOf(c: string): ImportQueue {
    let queue = this.#queues.get(c)
    if (queue === undefined) {
      const { bus, states, lookup, signal, retry } = this.#options
      const onIdle = (): void => {
        this.#queues.delete(c)
        this.#wake()
      }
      const onSenderJoined = (): void => {
        this.counts.senderJoins++
      }
      queue = new ImportQueue({ bus, states, lookup, signal, retry, onIdle, onSenderJoined }, c)
      this.#queues.set(c, queue)
    }
    return queue
  }

  #count(file: OpenFile, item: ImportItem, outcome: Outcome): void {
    if (outcome.kind === 'refused') {
      this.counts.bad++
      this.#options.onBad(file.source.path, item.line, `${outcome.code}: ${outcome.reason}`)
    } else if (outcome.kind === 'unchanged') this.counts.unchanged++
    else if (item.kind !== 'message') this.counts.memberships++
    else if (outcome.kind === 'imported') this.counts.messages++
    else this.counts.duplicates++
  }

  /** Moves the position of a file over finished batches, and saves a checkpoint at intervals. */
  #advance(file: OpenFile): void {
    const { checkpoints } = this.#options
    const before = file.checkpoint
    for (let first = file.batches[0]; first?.open === 0; first = file.batches[0]) {
      this.counts.bytes += first.end.bytes - file.position.bytes
      this.counts.lines += first.end.lines - file.position.lines
      if (first.isComplete && file.checkpoint === file.position) file.checkpoint = first.end
      file.position = first.end
      file.batches.shift()
    }
    if (file.checkpoint === before) return
    const isDone = file.isRead && file.batches.length === 0
    if (!isDone && Date.now() - file.savedAt < checkpointEveryMs) return
    file.savedAt = Date.now()
    const { checkpoint, source } = file
    // Without this checkpoint, the next run only takes longer.
    const saving = file.saving.then(() => checkpoints.save(source.key, checkpoint)).catch(() => {})
    file.saving = saving
    this.#saving.add(saving)
    void saving.then(() => this.#saving.delete(saving))
  }
}
