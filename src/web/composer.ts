import { html } from 'htm/preact'
import { useEffect, useLayoutEffect, useReducer, useRef, useState } from 'preact/hooks'
import { AttachRow } from './attach-row.ts'
import type { Chat } from './chat.ts'
import type { DraftEdit } from './drafts.ts'
import { Icon, IconButton } from './icons.ts'
import type { Room } from './room.ts'
import type { Message } from './timeline.ts'

/** Maximum UTF-8 bytes of a message's text, as the protocol defines. */
const textBytes = 16 * 1024

/**
 * The box in which a message is written, answered or edited. Enter sends, Shift+Enter starts a line; on a touch
 * screen Enter starts a line.
 */
export const Composer = ({ chat, room, name }: { chat: Chat; room: Room; name: string }) => {
  const box = useRef<HTMLTextAreaElement>(null)
  const picker = useRef<HTMLInputElement>(null)
  const [dropping, setDropping] = useState(false)
  const [, update] = useReducer<number, void>(n => n + 1, 0)
  const draft = chat.drafts.get(room.c)
  const { edit } = draft
  const text = edit?.text ?? draft.text
  const tooLong = new TextEncoder().encode(text).length > textBytes
  const uploads = edit === undefined ? chat.uploads.list(room.c) : []
  // Failed or unfinished uploads block sending: half a message is never intended.
  const isWaiting = uploads.some(({ attachment }) => attachment === undefined)
  const empty = text.trim() === '' && uploads.length === 0

  useLayoutEffect(() => {
    if (box.current === null) return
    box.current.style.height = 'auto'
    box.current.style.height = `${box.current.scrollHeight}px`
  }, [text])
  useEffect(() => {
    if (!isTouch()) box.current?.focus()
  }, [])

  const write = (value: string): void => {
    chat.typed(room.c, value)
    update()
  }
  const cancel = (): void => {
    chat.drafts.cancel(room.c)
    update()
    box.current?.focus()
  }
  const submit = (): void => {
    if (empty || tooLong || isWaiting) return
    if (edit === undefined) chat.send(room.c)
    else if (text === edit.target.text) cancel()
    else void chat.saveEdit(room.c)
    box.current?.focus()
  }
  const attach = (files: FileList | null | undefined): void => {
    if (files === null || files === undefined || files.length === 0 || edit !== undefined) return
    const left = chat.uploads.add(room.c, [...files])
    if (left > 0) void chat.attempt(Promise.reject('A message can have 10 files.'))
    box.current?.focus()
  }
  const keys = (event: KeyboardEvent): void => {
    if (event.isComposing) return
    const isPlain = edit === undefined && draft.reply === undefined
    if (event.key === 'Escape' && !isPlain) cancel()
    else if (event.key === 'ArrowUp' && text === '' && isPlain) {
      const last = lastOf(room, chat.me)
      if (last === undefined) return
      chat.drafts.edit(room.c, last)
      update()
    } else if (event.key === 'Enter' && !event.shiftKey && !isTouch()) submit()
    else return
    event.preventDefault()
  }

  return html`
    <form
      class=${`composer ${dropping ? 'is-dropped-on' : ''}`}
      onDragOver=${(event: DragEvent) => {
        if (!event.dataTransfer?.types.includes('Files')) return
        event.preventDefault()
        setDropping(true)
      }}
      onDragLeave=${() => setDropping(false)}
      onDrop=${(event: DragEvent) => {
        setDropping(false)
        if (event.dataTransfer?.files.length === 0) return
        event.preventDefault()
        attach(event.dataTransfer?.files)
      }}
      onSubmit=${(event: SubmitEvent) => {
        event.preventDefault()
        submit()
      }}
    >
      ${draft.unsaved.map(
        unsaved =>
          unsaved.problem !== undefined &&
          html`<${Unsaved} key=${unsaved.target.m} chat=${chat} c=${room.c} edit=${unsaved} />`,
      )}
      ${
        (edit !== undefined || draft.reply !== undefined) &&
        html`
          <div class="composing">
            <${Icon} name=${edit === undefined ? 'reply' : 'pencil'} />
            <span class="composing-label">${edit === undefined ? html`Replying to <b dir="auto">${draft.reply?.from}</b>:` : 'Editing:'}</span>
            <span class="composing-text" dir="auto">${edit?.target.about ?? draft.reply?.about}</span>
            <${IconButton} name="close" label=${edit === undefined ? 'Do not reply' : 'Stop editing'} onClick=${cancel} />
          </div>
        `
      }
      ${edit === undefined && html`<${AttachRow} chat=${chat} c=${room.c} />`}
      <div class="composer-row">
        <input
          class="sr-only"
          type="file"
          multiple
          ref=${picker}
          tabindex="-1"
          aria-hidden="true"
          onChange=${(event: Event) => {
            const input = event.target as HTMLInputElement
            attach(input.files)
            input.value = ''
          }}
        />
        ${edit === undefined && html`<${IconButton} name="clip" class="attach" label="Attach files" onClick=${() => picker.current?.click()} />`}
        <textarea
          id="composer"
          ref=${box}
          rows="1"
          placeholder=${`Message ${name}`}
          aria-label=${`Message ${name}`}
          aria-invalid=${tooLong}
          aria-describedby="composer-problem"
          enterkeyhint=${isTouch() ? 'enter' : 'send'}
          dir="auto"
          value=${text}
          onInput=${(event: InputEvent) => write((event.target as HTMLTextAreaElement).value)}
          onKeyDown=${keys}
          onPaste=${(event: ClipboardEvent) => {
            if ((event.clipboardData?.files.length ?? 0) === 0) return
            event.preventDefault()
            attach(event.clipboardData?.files)
          }}
        />
        <button class="send" aria-label=${edit === undefined ? 'Send' : 'Save'} disabled=${empty || tooLong || isWaiting}>
          <${Icon} name=${edit === undefined ? 'send' : 'check'} />
        </button>
      </div>
      <p id="composer-problem" class="problem" role="alert" dir="auto">
        ${tooLong ? 'This is longer than a message can be (16 KiB).' : edit?.problem !== undefined && `Not saved: ${edit.problem}`}
      </p>
    </form>
  `
}

/** A refused edit beside another draft. */
const Unsaved = ({ chat, c, edit }: { chat: Chat; c: string; edit: DraftEdit }) => {
  const { m } = edit.target
  return html`
    <div class="composing is-unsaved">
      <${Icon} name="pencil" />
      <span class="composing-label problem" dir="auto">Edit not saved: ${edit.problem}</span>
      <span class="composing-text" dir="auto">${edit.text}</span>
      <button
        type="button"
        class="link"
        onClick=${() => {
          chat.drafts.resume(c, m)
          chat.changed()
          document.getElementById('composer')?.focus()
        }}
      >
        Edit again
      </button>
      <button
        type="button"
        class="link"
        onClick=${() => {
          chat.drafts.saved(c, m)
          chat.changed()
        }}
      >
        Discard
      </button>
    </div>
  `
}

const isTouch = (): boolean => matchMedia('(pointer: coarse)').matches

/** Returns the user's last message that can be edited. */
const lastOf = (room: Room, me: string): Message | undefined =>
  room.timeline.entries.findLast(
    (entry): entry is Message => entry.kind === 'message' && entry.from === me && !entry.deleted,
  )
