import { html } from 'htm/preact'
import { useEffect, useReducer } from 'preact/hooks'
import { Avatar } from '../avatar.ts'
import { Icon } from '../icons.ts'
import { CallStage } from './call-stage.ts'
import type { Phone } from './phone.ts'

/** The list of contacts, an incoming call, or the current call. */
export const CallPage = ({ phone }: { phone: Phone }) => {
  const [, update] = useReducer<number, void>(n => n + 1, 0)
  useEffect(() => {
    phone.subscribe(() => update())
    update()
    const leave = (): void => phone.call?.hangUp()
    addEventListener('pagehide', leave)
    return () => removeEventListener('pagehide', leave)
  }, [phone])

  const { call } = phone
  if (call?.phase === 'ringing') return html`<${Ringing} phone=${phone} peer=${call.peer} />`
  if (call !== undefined && call.phase !== 'over') return html`<${CallStage} key=${call.id} call=${call} />`
  return html`<${Contacts} phone=${phone} />`
}

const Ringing = ({ phone, peer }: { phone: Phone; peer: string }) => html`
  <main class="sign-in">
    <section class="card ringing" role="alertdialog" aria-label=${`${peer} is calling`}>
      <span class="pulse"><${Avatar} id=${peer} /></span>
      <h1>${peer}</h1>
      <p class="muted">is calling</p>
      <div class="ringing-actions">
        <button type="button" class="round hang-up" aria-label="Decline" title="Decline" onClick=${() => phone.decline()}>
          <${Icon} name="hang-up" />
        </button>
        <button type="button" class="round pick-up" aria-label="Answer" title="Answer" autofocus onClick=${() => void phone.pickUp()}>
          <${Icon} name="phone" />
        </button>
      </div>
    </section>
  </main>
`

const Contacts = ({ phone }: { phone: Phone }) => {
  const { call, problem } = phone
  const dial = (event: SubmitEvent): void => {
    event.preventDefault()
    const user = new FormData(event.target as HTMLFormElement).get('user')
    void phone.dial(String(user ?? '').trim())
  }
  return html`
    <main class="sign-in">
      <section class="card contacts">
        <header>
          <${Avatar} id=${phone.me} />
          <div>
            <h1>${phone.me}</h1>
            <p class="muted" role="status">${call?.ending === undefined ? 'Choose a user to call.' : `${call.peer}: ${call.ending}`}</p>
          </div>
        </header>
        <ul>
          ${phone.contacts.map(
            ({ c, user }) => html`
              <li key=${c}>
                <${Avatar} id=${user} size="small" presence=${phone.presence.get(user)} />
                <span>${user}</span>
                <button type="button" class="icon-button" aria-label=${`Call ${user}`} title=${`Call ${user}`} onClick=${() => void phone.dial(user)}>
                  <${Icon} name="phone" />
                </button>
              </li>
            `,
          )}
        </ul>
        <form onSubmit=${dial}>
          <label class="field">
            <span>Another user</span>
            <input name="user" required pattern="[A-Za-z0-9_\\-]{1,64}" title="1 to 64 letters, digits, - or _" placeholder="bob" autocomplete="off" autocapitalize="none" spellcheck=${false} />
          </label>
          <button class="primary">Call</button>
        </form>
        <p class="problem" role="alert">${problem}</p>
      </section>
    </main>
  `
}
