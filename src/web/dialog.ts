import { html } from 'htm/preact'
import type { ComponentChildren } from 'preact'
import { useEffect, useId, useRef } from 'preact/hooks'
import { IconButton } from './icons.ts'
import { Toast } from './toast.ts'

/** The dialogs that the page can open. */
export type DialogName = 'create' | 'devices' | 'members' | 'privacy' | 'search' | 'search-here'

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
      // An action of the dialog may have moved the focus already, such as to a search hit. Closing moves it back.
      const now = document.activeElement
      const isElsewhere = now !== null && now !== document.body && dialog?.contains(now) === false
      dialog?.close()
      const after = isElsewhere ? now : before
      if (after instanceof HTMLElement && after.isConnected) after.focus({ preventScroll: true })
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
        <div class="dialog-header">
          <h2 id=${titleId} dir="auto">${props.title}</h2>
          <${IconButton} name="close" label="Close" onClick=${props.onClose} />
        </div>
        ${props.children}
      </div>
      <${Toast} />
    </dialog>
  `
}
