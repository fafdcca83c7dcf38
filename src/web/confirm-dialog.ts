import { html } from 'htm/preact'
import type { ComponentChildren } from 'preact'
import { Dialog } from './dialog.ts'

/** Asks before an action that cannot be undone. */
export const ConfirmDialog = (props: {
  title: string
  keep: string
  confirm: string
  onConfirm: () => void
  onClose: () => void
  children?: ComponentChildren
}) => html`
  <${Dialog} title=${props.title} class="dialog-small" onClose=${props.onClose}>
    ${props.children}
    <div class="dialog-actions">
      <button type="button" class="quiet" autofocus onClick=${props.onClose}>${props.keep}</button>
      <button
        type="button"
        class="danger"
        onClick=${() => {
          props.onConfirm()
          props.onClose()
        }}
      >
        ${props.confirm}
      </button>
    </div>
  <//>
`
