/** A message to import. */
export interface ImportMessage {
  readonly kind: 'message'
  readonly c: string
  readonly m: string
  /** User id of the sender, who joins first where that is needed. */
  readonly user: string
  /** ISO time. */
  readonly at: string
  readonly text: string
  readonly replyTo?: string
  /** Line in its file, from 1. */
  readonly line: number
}

/** Somebody comes or goes; nothing where that changes nothing. */
export interface ImportMembership {
  readonly kind: 'join' | 'leave'
  readonly c: string
  readonly user: string
  readonly at: string
  readonly line: number
}

export type ImportItem = ImportMessage | ImportMembership

/** A line that is not imported, and why. */
export interface BadLine {
  readonly line: number
  readonly reason: string
}

/** How far a file has been taken: what a checkpoint holds of it. */
export interface SourcePosition {
  /** Bytes from the start. */
  readonly bytes: number
  readonly lines: number
  /** SHA-256 of those bytes, hex: the rest of a file is only continued after the same start. */
  readonly digest: string
}

export interface SourceBatch {
  readonly items: readonly ImportItem[]
  readonly bad: readonly BadLine[]
  /** Where the file stands after this batch. */
  readonly end: SourcePosition
}

/** A file to import. */
export interface ImportSource {
  readonly path: string
  readonly bytes: number
  /** Names the file by how it starts: the same for a file that has grown or moved. */
  readonly key: string
  /** Title of a conversation that has to be created. */
  readonly title?: string
  /** Its batches, from the start, or after a position that a checkpoint gave and whose digest still fits (else from the start). */
  read(after: SourcePosition | undefined): AsyncIterable<SourceBatch>
  /**
   * Of a batch's items, how many lead ones are done, when nothing but the log can tell: `isStored` asks it for a message. Only where items are to be skipped
   * that the command path would not see as done, such as a join of somebody who has left since.
   */
  countDone?(
    items: readonly ImportItem[],
    isStored: (c: string, m: string) => Promise<boolean>,
  ): Promise<number>
}
