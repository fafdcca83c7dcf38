import { html } from 'htm/preact'
import { useState } from 'preact/hooks'
import { uuidV7 } from '../client/index.ts'
import type { Chat } from './chat.ts'
import { Dialog } from './dialog.ts'
import { goTo } from './route.ts'

const kinds = {
  direct: { label: 'Direct', hint: 'Two people.' },
  group: { label: 'Group', hint: 'People you choose.' },
  channel: { label: 'Channel', hint: 'Any user with its id may join.' },
  join: { label: 'Join', hint: 'An existing channel.' },
} as const
type Choice = keyof typeof kinds

const idPattern = '[A-Za-z0-9_\\-]{1,64}'
const idsPattern = `\\s*${idPattern}([\\s,]+${idPattern})*[\\s,]*`
const idHint = '1 to 64 letters, digits, - or _'

/** Creates a conversation, or joins a channel, and opens it. */
export const CreateDialog = ({ chat, onClose }: { chat: Chat; onClose: () => void }) => {
  const [choice, setChoice] = useState<Choice>('direct')
  const [busy, setBusy] = useState(false)

  const submit = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault()
    const data = new FormData(event.target as HTMLFormElement)
    const field = (name: string): string => String(data.get(name) ?? '').trim()
    const members = [
      ...new Set(
        field('members')
          .split(/[\s,]+/)
          .filter(user => user !== '' && user !== chat.me),
      ),
    ]
    setBusy(true)
    const opened = await start(chat, choice, { c: field('c'), title: field('title'), members })
    setBusy(false)
    if (opened === undefined) return
    onClose()
    goTo(opened)
  }

  return html`
    <${Dialog} title="New conversation" onClose=${onClose}>
      <form class="dialog-form" onSubmit=${submit}>
        <fieldset class="choices">
          <legend class="sr-only">Kind</legend>
          ${Object.entries(kinds).map(
            ([name, { label }]) => html`
              <label key=${name}>
                <input type="radio" name="kind" value=${name} checked=${choice === name} onChange=${() => setChoice(name as Choice)} />
                <span>${label}</span>
              </label>
            `,
          )}
        </fieldset>
        <p class="muted">${kinds[choice].hint}</p>
        ${
          (choice === 'channel' || choice === 'join') &&
          html`
            <label class="field">
              <span>Channel id</span>
              <input key="c" name="c" required pattern=${idPattern} title=${idHint} placeholder="lobby" autocapitalize="none" spellcheck=${false} />
            </label>
          `
        }
        ${
          (choice === 'group' || choice === 'channel') &&
          html`
            <label class="field">
              <span>Title</span>
              <input key="title" name="title" dir="auto" maxlength="200" required=${choice === 'group'} placeholder=${choice === 'group' ? 'Weekend plans' : 'Lobby'} />
            </label>
          `
        }
        ${
          choice !== 'join' &&
          html`
            <label class="field">
              <span>${choice === 'direct' ? 'With' : 'Members'}</span>
              <input
                key=${choice === 'direct' ? 'one' : 'many'}
                name="members"
                required=${choice !== 'channel'}
                pattern=${choice === 'direct' ? idPattern : idsPattern}
                title=${choice === 'direct' ? idHint : 'Names with spaces or commas between'}
                placeholder=${choice === 'direct' ? 'bob' : 'bob, carol'}
                autocapitalize="none"
                spellcheck=${false}
              />
            </label>
          `
        }
        <div class="dialog-actions">
          <button type="button" class="quiet" onClick=${onClose}>Cancel</button>
          <button class="primary" disabled=${busy}>${choice === 'join' ? 'Join' : 'Start'}</button>
        </div>
      </form>
    <//>
  `
}

/** Returns the id of the conversation to open; undefined after an error, which the chat shows. */
const start = async (
  chat: Chat,
  choice: Choice,
  fields: { c: string; title: string; members: string[] },
): Promise<string | undefined> => {
  if (choice === 'join') return (await chat.join(fields.c)) ? fields.c : undefined
  if (choice === 'direct') return await chat.direct(fields.members[0] ?? '')
  const c = choice === 'channel' ? fields.c : uuidV7()
  const made = await chat.create({
    c,
    kind: choice,
    members: fields.members,
    ...(fields.title !== '' ? { title: fields.title } : {}),
  })
  return made ? c : undefined
}
