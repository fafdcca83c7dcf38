import { html } from 'htm/preact'
import { useLayoutEffect, useRef, useState } from 'preact/hooks'
import { Icon } from './icons.ts'
import { type Credentials, userIn } from './sign-in.ts'

/** Asks whether to use the credentials of a link. The focus is on the button that changes nothing. */
export const LinkQuestion = (props: {
  credentials: Credentials
  onAnswer: (isAccepted: boolean) => void
}) => {
  const user = userIn(props.credentials)
  const cancel = useRef<HTMLButtonElement>(null)
  useLayoutEffect(() => cancel.current?.focus(), [])
  return html`
    <main class="sign-in">
      <section class="card" role="alertdialog" aria-labelledby="link-title" aria-describedby="link-text">
        <span class="mark"><${Icon} name="bubbles" /></span>
        <h1 id="link-title" dir="auto">${user === undefined ? 'Sign in with this link?' : `Sign in as ${user}?`}</h1>
        <p id="link-text" class="muted">A link opened this page. Sign in only if you know its origin: everything that you write goes out under this name.</p>
        <div class="dialog-actions">
          <button type="button" class="quiet" ref=${cancel} onClick=${() => props.onAnswer(false)}>Cancel</button>
          <button type="button" class="primary" onClick=${() => props.onAnswer(true)}>Sign in</button>
        </div>
      </section>
    </main>
  `
}

/** Asks for a user name. */
export const SignInForm = (props: {
  busy: boolean
  problem: string | undefined
  onSignIn: (user: string) => void
}) => {
  const [name, setName] = useState('')
  return html`
    <main class="sign-in">
      <form
        class="card"
        onSubmit=${(event: SubmitEvent) => {
          event.preventDefault()
          props.onSignIn(name.trim())
        }}
      >
        <span class="mark"><${Icon} name="bubbles" /></span>
        <h1>confab</h1>
        <p class="muted">Pick a name to sign in on this development server.</p>
        <label class="field">
          <span>Your name</span>
          <input
            name="user"
            autocomplete="username"
            autocapitalize="none"
            spellcheck=${false}
            required
            pattern="[A-Za-z0-9_\\-]{1,64}"
            title="1 to 64 letters, digits, - or _"
            placeholder="alice"
            autofocus
            value=${name}
            onInput=${(event: InputEvent) => setName((event.target as HTMLInputElement).value)}
            aria-describedby="sign-in-problem"
          />
        </label>
        <button class="primary" disabled=${props.busy}>${props.busy ? 'Signing in …' : 'Sign in'}</button>
        <p id="sign-in-problem" class="problem" role="alert">${props.problem}</p>
      </form>
    </main>
  `
}
