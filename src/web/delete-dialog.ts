import { html } from 'htm/preact'
import { Dialog } from './dialog.ts'
import type { Message } from './timeline.ts'

/** Asks for confirmation before a message is deleted. */
export const DeleteDialog = (props: { message: Message; onDelete: () => void; onClose: () => void }) => html`
  <${Dialog} title="Delete this message?" class="dialog-small" onClose=${props.onClose}>
    <blockquote class="quoted">${props.message.text}</blockquote>
    <p class="muted">It disappears for everybody in the conversation.</p>
    <div class="dialog-actions">
      <button type="button" class="quiet" onClick=${props.onClose}>Keep it</button>
      <button
        type="button"
        class="danger"
        onClick=${() => {
          props.onDelete()
          props.onClose()
        }}
      >
        Delete
      </button>
    </div>
  <//>
`
