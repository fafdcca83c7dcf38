import { html } from 'htm/preact'
import { createContext } from 'preact'
import { useContext, useEffect } from 'preact/hooks'
import type { Chat } from './chat.ts'

/** The chat whose problems toasts show. */
export const ToastContext = createContext<Chat | undefined>(undefined)

/**
 * The last problem of the chat. A modal dialog makes everything else inert, so each dialog has a toast of its own and
 * the style sheet hides the one of the page. The problem stays as long as the pointer or the focus is on it.
 */
export const Toast = () => {
  const chat = useContext(ToastContext)
  const problem = chat?.problem
  // A toast that is removed under the pointer or with the focus receives no event.
  useEffect(() => () => chat?.holdProblem(false), [chat, problem])
  if (chat === undefined || problem === undefined) return null
  return html`
    <div
      class="toast"
      role="alert"
      onMouseEnter=${() => chat.holdProblem(true)}
      onMouseLeave=${() => chat.holdProblem(false)}
      onFocusIn=${() => chat.holdProblem(true)}
      onFocusOut=${() => chat.holdProblem(false)}
    >
      <span dir="auto">${problem.text}</span>
      <button type="button" class="link" onClick=${() => chat.dismiss()}>Dismiss</button>
    </div>
  `
}
