import { summaryOf } from './format.ts'
import type { Message } from './timeline.ts'

/** The message that a draft replies to or edits. */
export interface DraftTarget {
  readonly m: string
  readonly from: string
  readonly text: string
  /** One line about the message: its text, or a word for its files. */
  readonly about: string
}

/** The new text of a message. `problem`: why the server refused it. */
export interface DraftEdit {
  readonly target: DraftTarget
  readonly text: string
  readonly problem?: string
}

/** Texts of the user in a conversation that the server has not stored. */
export interface Draft {
  /** The next message. */
  readonly text: string
  readonly reply?: DraftTarget
  /** The edit that the composer shows in place of the next message. */
  readonly edit?: DraftEdit
  /** Edits without an answer, and refused edits. The latter have a `problem`. */
  readonly unsaved: readonly DraftEdit[]
}

const blank: Draft = { text: '', unsaved: [] }

const lost = 'It is not known whether the server saved it.'

const targetOf = (message: Message): DraftTarget => ({
  m: message.m,
  from: message.from,
  text: message.text,
  about: summaryOf(message),
})

/** The part of Storage that drafts use. */
export type DraftStorage = Pick<Storage, 'getItem' | 'setItem' | 'removeItem' | 'key' | 'length'>

/**
 * The drafts of a user by conversation, kept in the storage of the browser, so that they survive a reload. Without
 * storage, or when it is full, they are kept in memory only.
 */
export class Drafts {
  readonly #prefix: string
  readonly #storage: DraftStorage | undefined
  readonly #drafts = new Map<string, Draft>()

  constructor(user: string, storage: DraftStorage | undefined) {
    this.#prefix = `confab.draft.${user}.`
    this.#storage = storage
    for (const key of this.#keys()) {
      const draft = parsed(this.#storage?.getItem(key) ?? '')
      if (draft !== undefined) this.#drafts.set(key.slice(this.#prefix.length), draft)
    }
  }

  get(c: string): Draft {
    return this.#drafts.get(c) ?? blank
  }

  /** Replaces the text that the composer shows. */
  write(c: string, text: string): void {
    const draft = this.get(c)
    if (draft.edit === undefined) this.#set(c, { ...draft, text })
    else this.#set(c, { ...draft, edit: { ...draft.edit, text } })
  }

  reply(c: string, message: Message): void {
    this.#set(c, { ...parked(this.get(c)), reply: targetOf(message) })
  }

  edit(c: string, message: Message): void {
    this.#set(c, { ...parked(this.get(c)), edit: { target: targetOf(message), text: message.text } })
  }

  /** Ends the edit; without an edit, the reply. */
  cancel(c: string): void {
    const { edit, reply, ...draft } = this.get(c)
    this.#set(c, edit === undefined || reply === undefined ? draft : { ...draft, reply })
  }

  /** The next message was handed to the client. */
  sent(c: string): void {
    this.#set(c, { text: '', unsaved: this.get(c).unsaved })
  }

  /** Closes the edit and returns it; it is kept until `saved`. */
  submit(c: string): DraftEdit | undefined {
    const { edit, ...draft } = this.get(c)
    if (edit === undefined) return undefined
    const { problem: _, ...saving } = edit
    this.#set(c, { ...draft, unsaved: [...without(draft.unsaved, edit.target.m), saving] })
    return saving
  }

  saved(c: string, m: string): void {
    const draft = this.get(c)
    this.#set(c, { ...draft, unsaved: without(draft.unsaved, m) })
  }

  /** Keeps a refused edit: in the composer if that is empty, else beside it. */
  refused(c: string, edit: DraftEdit, problem: string): void {
    const draft = this.get(c)
    const refused = { ...edit, problem }
    const others = without(draft.unsaved, edit.target.m)
    if (draft.edit === undefined && draft.text === '')
      this.#set(c, { ...draft, unsaved: others, edit: refused })
    else this.#set(c, { ...draft, unsaved: [...others, refused] })
  }

  /** Puts a refused edit back into the composer. An edit that the composer shows takes its place. */
  resume(c: string, m: string): void {
    const draft = this.get(c)
    const edit = draft.unsaved.find(({ target }) => target.m === m)
    if (edit === undefined) return
    this.#set(c, { ...parked({ ...draft, unsaved: without(draft.unsaved, m) }), edit })
  }

  /** Removes all drafts of the user. */
  clear(): void {
    for (const c of [...this.#drafts.keys()]) this.#set(c, blank)
    for (const key of this.#keys()) this.#storage?.removeItem(key)
  }

  #keys(): string[] {
    const keys = Array.from({ length: this.#storage?.length ?? 0 }, (_, i) => this.#storage?.key(i) ?? '')
    return keys.filter(key => key.startsWith(this.#prefix))
  }

  #set(c: string, draft: Draft): void {
    const isBlank =
      draft.text === '' && draft.reply === undefined && draft.edit === undefined && draft.unsaved.length === 0
    if (isBlank) this.#drafts.delete(c)
    else this.#drafts.set(c, draft)
    try {
      if (isBlank) this.#storage?.removeItem(this.#prefix + c)
      else this.#storage?.setItem(this.#prefix + c, JSON.stringify(draft))
    } catch {
      // The storage is full: the draft lasts as long as the page.
    }
  }
}

/** Returns a draft without an open edit. A changed text is kept beside it. */
const parked = ({ edit, ...draft }: Draft): Draft => {
  if (edit === undefined || edit.text === edit.target.text) return draft
  const { m } = edit.target
  return { ...draft, unsaved: [...without(draft.unsaved, m), { problem: 'Not sent yet.', ...edit }] }
}

const without = (edits: readonly DraftEdit[], m: string): DraftEdit[] =>
  edits.filter(({ target }) => target.m !== m)

/** Returns a stored draft. An edit that was without an answer when the page was closed counts as not saved. */
const parsed = (json: string): Draft | undefined => {
  try {
    const draft = JSON.parse(json) as Draft
    const unsaved = draft.unsaved.map(edit => ({ problem: lost, ...edit }))
    return typeof draft.text === 'string' ? { ...draft, unsaved } : undefined
  } catch {
    return undefined
  }
}
