import { html } from 'htm/preact'
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks'
import { AttachRow } from './attach-row.ts'
import type { Chat } from './chat.ts'
import { Icon, IconButton } from './icons.ts'
import type { Room } from './room.ts'
import type { Message } from './timeline.ts'

/** The message that the composer edits or replies to; undefined for a new message. */
export type Composing = { readonly kind: 'reply' | 'edit'; readonly message: Message } | undefined

/** Maximum UTF-8 bytes of a message's text, as the protocol defines. */
const textBytes = 16 * 1024

/**
 * The box in which a message is written, answered or edited. Enter sends, Shift+Enter starts a line; on a touch
 * screen Enter starts a line.
 */
export const Composer = (props: {
  chat: Chat
  room: Room
  name: string
  composing: Composing
  onComposing: (composing: Composing) => void
}) => {
  const { chat, room, name, composing, onComposing } = props
  const box = useRef<HTMLTextAreaElement>(null)
  const picker = useRef<HTMLInputElement>(null)
  const [dropping, setDropping] = useState(false)
  const [text, setText] = useState(chat.drafts.get(room.c) ?? '')
  const tooLong = new TextEncoder().encode(text).length > textBytes
  const isEdit = composing?.kind === 'edit'
  const uploads = isEdit ? [] : chat.uploads.list(room.c)
  // Failed or unfinished uploads block sending: half a message is never intended.
  const isWaiting = uploads.some(({ attachment }) => attachment === undefined)
  const empty = text.trim() === '' && uploads.length === 0

  useEffect(() => {
    if (composing?.kind === 'edit') setText(composing.message.text)
  }, [composing])
  useLayoutEffect(() => {
    if (box.current === null) return
    box.current.style.height = 'auto'
    box.current.style.height = `${box.current.scrollHeight}px`
  }, [text])
  useEffect(() => {
    if (!matchMedia('(pointer: coarse)').matches) box.current?.focus()
  }, [])

  const write = (value: string): void => {
    setText(value)
    if (composing?.kind !== 'edit') chat.typed(room.c, value)
  }
  const cancel = (): void => {
    if (composing?.kind === 'edit') setText(chat.drafts.get(room.c) ?? '')
    onComposing(undefined)
  }
  const submit = (): void => {
    if (empty || tooLong || isWaiting) return
    if (composing?.kind === 'edit') {
      if (text !== composing.message.text) void chat.edit(room.c, composing.message.m, text)
      cancel()
    } else {
      chat.send(room.c, text, composing?.message.m)
      setText('')
      onComposing(undefined)
    }
    box.current?.focus()
  }
  const attach = (files: FileList | null | undefined): void => {
    if (files === null || files === undefined || files.length === 0 || isEdit) return
    const left = chat.uploads.add(room.c, [...files])
    if (left > 0) void chat.attempt(Promise.reject('A message can have 10 files.'))
    box.current?.focus()
  }
  const keys = (event: KeyboardEvent): void => {
    if (event.isComposing) return
    if (event.key === 'Escape' && composing !== undefined) cancel()
    else if (event.key === 'ArrowUp' && text === '' && composing === undefined) {
      const last = lastOf(room, chat.me)
      if (last === undefined) return
      onComposing({ kind: 'edit', message: last })
    } else if (event.key === 'Enter' && !event.shiftKey && !matchMedia('(pointer: coarse)').matches) submit()
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
      ${
        composing !== undefined &&
        html`
          <div class="composing">
            <${Icon} name=${composing.kind === 'edit' ? 'pencil' : 'reply'} />
            <span class="composing-text">
              ${composing.kind === 'edit' ? 'Editing: ' : html`Replying to <b>${composing.message.from}</b>: `}
              ${composing.message.text}
            </span>
            <${IconButton} name="close" label=${composing.kind === 'edit' ? 'Stop editing' : 'Do not reply'} onClick=${cancel} />
          </div>
        `
      }
      ${!isEdit && html`<${AttachRow} chat=${chat} c=${room.c} />`}
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
        ${!isEdit && html`<${IconButton} name="clip" class="attach" label="Attach files" onClick=${() => picker.current?.click()} />`}
        <textarea
          id="composer"
          ref=${box}
          rows="1"
          placeholder=${`Message ${name}`}
          aria-label=${`Message ${name}`}
          aria-invalid=${tooLong}
          aria-describedby="composer-problem"
          enterkeyhint="send"
          value=${text}
          onInput=${(event: InputEvent) => write((event.target as HTMLTextAreaElement).value)}
          onKeyDown=${keys}
          onPaste=${(event: ClipboardEvent) => {
            if ((event.clipboardData?.files.length ?? 0) === 0) return
            event.preventDefault()
            attach(event.clipboardData?.files)
          }}
        />
        <button class="send" aria-label=${composing?.kind === 'edit' ? 'Save' : 'Send'} disabled=${empty || tooLong || isWaiting}>
          <${Icon} name=${composing?.kind === 'edit' ? 'check' : 'send'} />
        </button>
      </div>
      <p id="composer-problem" class="problem" role="alert">${tooLong && 'This is longer than a message can be (16 KiB).'}</p>
    </form>
  `
}

/** Returns the user's last message that can be edited. */
const lastOf = (room: Room, me: string): Message | undefined =>
  room.timeline.entries.findLast(
    (entry): entry is Message => entry.kind === 'message' && entry.from === me && !entry.deleted,
  )
