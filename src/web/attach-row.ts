import { html } from 'htm/preact'
import type { Chat } from './chat.ts'
import { formatBytes } from './format.ts'
import { Icon, IconButton } from './icons.ts'
import type { Upload } from './uploads.ts'

/** The files to be sent with the message, above the composer. */
export const AttachRow = ({ chat, c }: { chat: Chat; c: string }) => {
  const uploads = chat.uploads.list(c)
  if (uploads.length === 0) return null
  const waiting = uploads.filter(
    ({ attachment, problem }) => attachment === undefined && problem === undefined,
  )
  return html`
    <ul class="attach-row" role="list" aria-label="Files to send">
      ${uploads.map(upload => html`<${Chip} key=${upload.id} chat=${chat} c=${c} upload=${upload} />`)}
    </ul>
    <p class="sr-only" role="status" dir="auto">
      ${waiting.length > 0 ? `Uploading ${waiting.length === 1 ? waiting[0]!.file.name : `${waiting.length} files`}` : 'Uploaded'}
    </p>
  `
}

const Chip = ({ chat, c, upload }: { chat: Chat; c: string; upload: Upload }) => {
  const { id, file, progress, problem, retryable, attachment } = upload
  return html`
    <li class=${`chip ${problem === undefined ? '' : 'is-failed'}`} title=${file.name}>
      <${Icon} name=${attachment === undefined ? 'file' : 'check'} />
      <span class="chip-name" dir="auto">${file.name}</span>
      <span class="chip-about">
        ${
          problem === undefined
            ? html`<span class="muted">${formatBytes(file.size)}</span>`
            : html`<span class="problem" role="alert">${problem}</span>`
        }
      </span>
      ${
        retryable &&
        html`<${IconButton} name="retry" label=${`Try ${file.name} again`} onClick=${() => chat.uploads.retry(c, id)} />`
      }
      <${IconButton} name="close" label=${`Remove ${file.name}`} onClick=${() => chat.uploads.remove(c, id)} />
      ${
        attachment === undefined &&
        problem === undefined &&
        html`<progress max="1" value=${progress} aria-label=${`Uploading ${file.name}`} />`
      }
    </li>
  `
}
