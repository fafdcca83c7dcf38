import { html } from 'htm/preact'
import type { Chat } from './chat.ts'
import { IconButton } from './icons.ts'

/** Turns the notifications of this browser on and off. */
export const NotificationButton = ({ chat }: { chat: Chat }) => {
  const { state } = chat.notifications
  if (state === 'unsupported') return null
  const isOn = state === 'on'
  const turn = async (): Promise<void> => {
    await chat.notifications.turn(!isOn)
    if (chat.notifications.state === 'denied')
      await chat.attempt(Promise.reject('This browser does not allow notifications of this page.'))
  }
  return html`
    <${IconButton}
      name=${isOn ? 'bell' : 'bell-off'}
      label="Notifications"
      aria-pressed=${isOn}
      class=${isOn ? 'is-on' : ''}
      onClick=${() => void turn()}
    />
  `
}
