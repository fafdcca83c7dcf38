import { html } from 'htm/preact'
import { useState } from 'preact/hooks'
import { Icon } from './icons.ts'

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
