import type { CommandBus, StateReader } from '../../commands/index.ts'
import type { Checkpoints } from './checkpoints.ts'
import type { ImportItem, ImportSource, SourcePosition } from './import-item.ts'
import { ImportLane, type Outcome } from './import-queue.ts'
import type { Patience } from './retry.ts'

/** What an import has done so far. */
export interface ImportCounts {
  /** Messages that were appended. */
  messages: number
  /** Messages that were there already. */
  duplicates: number
  /** Joins and leaves of the log that were appended. Those that a message needed are not counted. */
  memberships: number
  /** Lines that were not imported. */
  bad: number
  /** Bytes and lines of the files that are dealt with. */
  bytes: number
  lines: number
}

export interface ImporterOptions {
  readonly bus: CommandBus
  readonly states: StateReader
  readonly checkpoints: Checkpoints
  /** Whether a message was in the log before this run. */
  readonly isStored: (c: string, m: string) => Promise<boolean>
  /** Ends the import in order: what is under way ends, nothing new begins. */
  readonly signal: AbortSignal
  readonly onBad: (path: string, line: number, reason: string) => void
  readonly patience: Patience
}

/** Items that are read and not done yet, over all conversations. */
const maxOpen = 8_000
/** Between two checkpoints of a file, ms. */
const checkpointEveryMs = 1_000

interface OpenBatch {
  open: number
  isSound: boolean
  readonly end: SourcePosition
}

/** A file of which not everything is done. */
interface OpenFile {
  readonly source: ImportSource
  readonly batches: OpenBatch[]
  isRead: boolean
  /** Everything before it is done. */
  position: SourcePosition
  /** Up to the first bad line, where a checkpoint stays: the next run tells of it again, or imports what has been mended. */
  sound: SourcePosition
  savedAt: number
  saving: Promise<void>
}

/**
 * Takes files through the command path: conversations side by side, each in the order of the files. A file's checkpoint is where everything before it is in the
 * log; what stands after it may be there too, and is found there by its message ids.
 */
export class Importer {
  readonly counts: ImportCounts = { messages: 0, duplicates: 0, memberships: 0, bad: 0, bytes: 0, lines: 0 }
  readonly #options: ImporterOptions
  readonly #lanes = new Map<string, ImportLane>()
  readonly #saving = new Set<Promise<void>>()
  #open = 0
  #wake: () => void = () => {}

  constructor(options: ImporterOptions) {
    this.#options = options
  }

  /** Reads a file and begins to import it, as far as there is room; `finish` waits for what is under way. */
  async add(source: ImportSource): Promise<void> {
    const { checkpoints, isStored, onBad, patience, signal } = this.#options
    const start = { bytes: 0, lines: 0, digest: '' }
    const file: OpenFile = {
      source,
      batches: [],
      isRead: false,
      position: start,
      sound: start,
      savedAt: Date.now(),
      saving: Promise.resolve(),
    }
    const saved = await patience.retry(signal, () => checkpoints.load(source.key))
    for await (const { items, bad, end } of source.read(saved)) {
      for (const { line, reason } of bad) onBad(source.path, line, reason)
      this.counts.bad += bad.length
      const done = await patience.retry(signal, async () => (await source.countDone?.(items, isStored)) ?? 0)
      for (const item of items.slice(0, done)) if (item.kind === 'message') this.counts.duplicates++
      const batch = { open: items.length - done, isSound: bad.length === 0, end }
      file.batches.push(batch)
      for (const item of items.slice(done)) {
        while (this.#open >= maxOpen && !signal.aborted) await this.#someDone()
        if (signal.aborted) return
        this.#begin(file, batch, item)
      }
      this.#advance(file)
    }
    file.isRead = true
    this.#advance(file)
    // What a checkpoint has spared reading is dealt with too.
    if (file.batches.length === 0) this.counts.bytes += source.bytes - file.position.bytes
  }

  /** Resolves when nothing is under way and the checkpoints are saved. */
  async finish(): Promise<void> {
    while (this.#lanes.size > 0) await this.#someDone()
    await Promise.all(this.#saving)
  }

  #someDone(): Promise<void> {
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
      if (outcome.kind === 'refused') batch.isSound = false
      if (batch.open === 0) this.#advance(file)
      if (this.#open < maxOpen / 2) this.#wake()
    }
    this.#laneOf(item.c).push({ item, title: file.source.title, done })
  }

  #laneOf(c: string): ImportLane {
    let lane = this.#lanes.get(c)
    if (lane === undefined) {
      const { bus, states, isStored, signal, patience } = this.#options
      const onIdle = (): void => {
        this.#lanes.delete(c)
        this.#wake()
      }
      lane = new ImportLane({ bus, states, isStored, signal, patience, onIdle }, c)
      this.#lanes.set(c, lane)
    }
    return lane
  }

  #count(file: OpenFile, item: ImportItem, outcome: Outcome): void {
    if (outcome.kind === 'refused') {
      this.counts.bad++
      this.#options.onBad(file.source.path, item.line, `${outcome.code}: ${outcome.reason}`)
    } else if (item.kind !== 'message') this.counts.memberships += outcome.kind === 'imported' ? 1 : 0
    else if (outcome.kind === 'imported') this.counts.messages++
    else this.counts.duplicates++
  }

  /** Moves a file's position over the batches that are done, and saves it now and then. */
  #advance(file: OpenFile): void {
    const { checkpoints } = this.#options
    const before = file.sound
    for (let first = file.batches[0]; first?.open === 0; first = file.batches[0]) {
      this.counts.bytes += first.end.bytes - file.position.bytes
      this.counts.lines += first.end.lines - file.position.lines
      if (first.isSound && file.sound === file.position) file.sound = first.end
      file.position = first.end
      file.batches.shift()
    }
    if (file.sound === before) return
    const isDone = file.isRead && file.batches.length === 0
    if (!isDone && Date.now() - file.savedAt < checkpointEveryMs) return
    file.savedAt = Date.now()
    const { sound, source } = file
    // A checkpoint that is not saved costs time at the next run, nothing else.
    const saving = file.saving.then(() => checkpoints.save(source.key, sound)).catch(() => {})
    file.saving = saving
    this.#saving.add(saving)
    void saving.then(() => this.#saving.delete(saving))
  }
}
