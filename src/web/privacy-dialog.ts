import { html } from 'htm/preact'
import { useEffect, useState } from 'preact/hooks'
import type { AnswerOf } from '../events/index.ts'
import type { Chat } from './chat.ts'
import { Dialog } from './dialog.ts'

type Settings = AnswerOf['privacy']

const groups = { everybody: 'Everybody', contacts: 'Contacts', nobody: 'Nobody' } as const

const questions = {
  invitations: {
    label: 'Who may add you to groups and channels',
    hint: 'Contacts are users that you have written to directly. Others invite you, and you accept or decline.',
    choices: groups,
  },
  lastSeen: {
    label: 'Who sees whether you are online',
    hint: 'Contacts are members of a group or direct conversation that you have created or read.',
    choices: groups,
  },
  receipts: {
    label: 'Who sees what you have read',
    hint: 'It concerns the members of your conversations.',
    choices: { everybody: groups.everybody, nobody: groups.nobody },
  },
} as const

/** The privacy settings of the user. A change is saved at once. */
export const PrivacyDialog = ({ chat, onClose }: { chat: Chat; onClose: () => void }) => {
  const [settings, setSettings] = useState<Settings | undefined>(undefined)
  const request = (change: Partial<Settings> = {}): void =>
    void chat.attempt(chat.client.request('privacy', change).then(setSettings))
  useEffect(() => request(), [])
  return html`
    <${Dialog} title="Privacy" onClose=${onClose}>
      ${
        settings === undefined
          ? html`<p class="muted" role="status">Loading settings …</p>`
          : Object.entries(questions).map(
              ([name, { label, hint, choices }]) => html`
                <label class="field" key=${name}>
                  <span>${label}</span>
                  <select
                    name=${name}
                    value=${settings[name as keyof Settings]}
                    onChange=${(event: Event) =>
                      request({ [name]: (event.target as HTMLSelectElement).value } as Partial<Settings>)}
                  >
                    ${Object.entries(choices).map(([value, text]) => html`<option key=${value} value=${value}>${text}</option>`)}
                  </select>
                  <span class="muted hint">${hint}</span>
                </label>
              `,
            )
      }
    <//>
  `
}
