import { html } from 'htm/preact'
import { ConfirmDialog } from './confirm-dialog.ts'
import { summaryOf } from './format.ts'
import type { Message } from './timeline.ts'

/** Asks for confirmation before a message is deleted. */
export const DeleteDialog = (props: { message: Message; onDelete: () => void; onClose: () => void }) => html`
  <${ConfirmDialog}
    title="Delete this message?"
    keep="Keep it"
    confirm="Delete"
    onConfirm=${props.onDelete}
    onClose=${props.onClose}
  >
    <blockquote class="quoted" dir="auto">${summaryOf(props.message)}</blockquote>
    <p class="muted">It disappears for everybody in the conversation.</p>
  <//>
`
