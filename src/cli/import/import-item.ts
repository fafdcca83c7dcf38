import type { AppData } from '../../events/index.ts'

/** A message to import. */
export interface ImportMessage {
  readonly kind: 'message'
  readonly c: string
  readonly m: string
  /** User id of the sender. The import joins the sender first if necessary. */
  readonly user: string
  /** ISO time. */
  readonly at: string
  readonly text: string
  readonly replyTo?: string
  readonly data?: AppData
  /** Line in its file, from 1. */
  readonly line: number
}

/** A user joins or leaves. */
export interface ImportMembership {
  readonly kind: 'join' | 'leave'
  readonly c: string
  readonly user: string
  readonly at: string
  readonly line: number
}

export type ImportItem = ImportMessage | ImportMembership

/** A line that the import refuses, with the reason. */
export interface BadLine {
  readonly line: number
  readonly reason: string
}

/** Position in a file; a checkpoint stores it. */
export interface SourcePosition {
  /** Bytes from the start. */
  readonly bytes: number
  readonly lines: number
  /** SHA-256 of these bytes, hex. The import continues a file only if it still starts with the same bytes. */
  readonly digest: string
}

export interface SourceBatch {
  readonly items: readonly ImportItem[]
  readonly bad: readonly BadLine[]
  /** Lines that hold neither a message nor a join or leave by their form, such as topics and empty lines. */
  readonly ignored: number
  /** Position after this batch. */
  readonly end: SourcePosition
}

/** A file to import. */
export interface ImportSource {
  readonly path: string
  readonly bytes: number
  /** Identifies the file by its first bytes, so that it stays the same when the file grows or moves. */
  readonly key: string
  /** Title of a new conversation. */
  readonly title?: string
  /**
   * Yields batches after the position of a checkpoint; from the start if there is none or its digest does not match.
   */
  read(after: SourcePosition | undefined): AsyncIterable<SourceBatch>
}
