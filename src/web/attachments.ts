import { html } from 'htm/preact'
import { useEffect, useState } from 'preact/hooks'
import type { Attachment } from '../events/index.ts'
import { formatBytes } from './format.ts'
import { Icon } from './icons.ts'

/** Returns a URL of an attachment, valid for a limited time. */
export type MediaUrl = (mediaId: string) => Promise<string>

/** Image types that all browsers show and the server serves inline. */
const isPicture = (type: string): boolean => /^image\/(png|apng|jpeg|gif|webp|avif)$/.test(type)

/** The files of a message: images inline, all of them to open or save. */
export const Attachments = ({
  files,
  mediaUrl,
}: {
  files: readonly Attachment[]
  mediaUrl: MediaUrl
}) => html`
  <ul class="attachments" role="list" aria-label="Attachments">
    ${files.map(
      file => html`
        <li key=${file.mediaId}>
          ${
            isPicture(file.type)
              ? html`<${Picture} file=${file} mediaUrl=${mediaUrl} />`
              : html`<${FileButton} file=${file} mediaUrl=${mediaUrl} />`
          }
        </li>
      `,
    )}
  </ul>
`

/** An image once its URL is known; an ordinary file link when loading fails. */
const Picture = ({ file, mediaUrl }: { file: Attachment; mediaUrl: MediaUrl }) => {
  const [url, setUrl] = useState<string | undefined>(undefined)
  const [failed, setFailed] = useState(false)
  useEffect(() => {
    let wanted = true
    mediaUrl(file.mediaId).then(
      found => {
        if (wanted) setUrl(found)
      },
      () => {
        if (wanted) setFailed(true)
      },
    )
    return () => {
      wanted = false
    }
  }, [file.mediaId, mediaUrl])
  if (failed) return html`<${FileButton} file=${file} mediaUrl=${mediaUrl} />`
  return html`
    <button
      type="button"
      class="picture"
      aria-label=${`Open the picture ${file.name}`}
      title=${`${file.name}, ${formatBytes(file.size)}`}
      onClick=${() => void openFile(file, mediaUrl)}
    >
      ${
        url === undefined
          ? html`<span class="picture-coming" />`
          : html`<img src=${url} alt=${file.name} decoding="async" onError=${() => setFailed(true)} />`
      }
    </button>
  `
}

const FileButton = ({ file, mediaUrl }: { file: Attachment; mediaUrl: MediaUrl }) => {
  const [problem, setProblem] = useState(false)
  const open = async (): Promise<void> => {
    setProblem(false)
    if (!(await openFile(file, mediaUrl))) setProblem(true)
  }
  return html`
    <button type="button" class="attachment" onClick=${() => void open()}>
      <${Icon} name="file" />
      <span class="attachment-name" dir="auto">${file.name}</span>
      <span class="muted">${formatBytes(file.size)}</span>
      <span class="sr-only">, download</span>
    </button>
    ${problem && html`<span class="problem" role="alert">This file is not available at the moment.</span>`}
  `
}

/** Opens a fresh URL; the server decides between inline and download. Resolves with whether it got a URL. */
const openFile = async ({ mediaId, name, type }: Attachment, mediaUrl: MediaUrl): Promise<boolean> => {
  try {
    const link = document.createElement('a')
    link.href = await mediaUrl(mediaId)
    link.rel = 'noopener noreferrer'
    if (isPicture(type)) link.target = '_blank'
    else link.download = name
    link.click()
    return true
  } catch {
    return false
  }
}
