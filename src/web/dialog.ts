import { html } from 'htm/preact'
import type { ComponentChildren } from 'preact'
import { useEffect, useId, useRef } from 'preact/hooks'
import { IconButton } from './icons.ts'

/** The dialogs that the page can open. */
export type DialogName = 'create' | 'members' | 'search' | 'search-here'

/** A modal dialog: focus moves in, stays in, and returns to where it was. Escape and a click outside close it. */
export const Dialog = (props: {
  title: string
  onClose: () => void
  children?: ComponentChildren
  class?: string
}) => {
  const ref = useRef<HTMLDialogElement>(null)
  const titleId = useId()
  useEffect(() => {
    const dialog = ref.current
    const before = document.activeElement
    dialog?.showModal()
    return () => {
      dialog?.close()
      if (before instanceof HTMLElement && before.isConnected) before.focus()
    }
  }, [])
  return html`
    <dialog
      ref=${ref}
      class=${`dialog ${props.class ?? ''}`}
      aria-labelledby=${titleId}
      onCancel=${(event: Event) => {
        event.preventDefault()
        props.onClose()
      }}
      onClick=${(event: MouseEvent) => {
        if (event.target === ref.current) props.onClose()
      }}
    >
      <div class="dialog-body">
        <header class="dialog-header">
          <h2 id=${titleId}>${props.title}</h2>
          <${IconButton} name="close" label="Close" onClick=${props.onClose} />
        </header>
        ${props.children}
      </div>
    </dialog>
  `
}
