import { element } from './element.ts'
import { Plot } from './plots.ts'
import { RefusedError, readState } from './state.ts'
import { tablesOf } from './tables.ts'

/** Time between two reads, ms. */
const pollMs = 5_000
/** The token stays in this tab only, and ends with it. */
const tokenKey = 'confab.ops.token'
const app = document.querySelector('#app') as HTMLElement

/** Asks for a token. `problem`: why the last one is not accepted. */
const askToken = (problem?: string): void => {
  sessionStorage.removeItem(tokenKey)
  const input = element('input', {
    id: 'token',
    type: 'password',
    autocomplete: 'off',
    spellcheck: 'false',
    required: '',
  })
  const form = element(
    'form',
    {},
    element('h1', {}, 'Operations'),
    element('p', {}, 'Paste a token with the role admin. This tab keeps it until you close the tab.'),
    element('p', { class: 'alarm', role: 'alert' }, problem ?? ''),
    element('label', { for: 'token' }, 'Token'),
    input,
    element('button', {}, 'Show the system'),
  )
  form.addEventListener('submit', event => {
    event.preventDefault()
    sessionStorage.setItem(tokenKey, input.value.trim())
    showSystem(input.value.trim())
  })
  app.replaceChildren(element('main', {}, form))
  input.focus()
}

const showSystem = (token: string): void => {
  const status = element('p', {})
  const problem = element('p', { class: 'alarm', role: 'status' })
  const plots = [
    new Plot('Messages a second', 'messages'),
    new Plot('Sockets', 'sockets'),
    new Plot('Events not yet applied', 'lag'),
  ]
  const tables = element('div')
  const signOut = element('button', { type: 'button' }, 'Forget the token')
  app.replaceChildren(
    element('header', { class: 'bar' }, element('h1', {}, 'Operations'), status, signOut),
    element(
      'main',
      {},
      problem,
      element('div', { class: 'plots' }, ...plots.map(({ root }) => root)),
      element('div', { class: 'panels' }, tables),
    ),
  )
  let timer: ReturnType<typeof setTimeout> | undefined
  let isEnded = false
  const end = (reason?: string): void => {
    isEnded = true
    clearTimeout(timer)
    askToken(reason)
  }
  signOut.addEventListener('click', () => end())
  const poll = async (): Promise<void> => {
    try {
      const { state, samples } = await readState(token)
      if (isEnded) return
      status.textContent = `As of ${state.at.slice(11, 19)} UTC`
      if (problem.textContent !== '') problem.textContent = ''
      for (const plot of plots) plot.show(samples)
      // A table that has the focus is being scrolled.
      if (!tables.contains(document.activeElement)) tables.replaceChildren(...tablesOf(state))
    } catch (error) {
      if (isEnded) return
      if (error instanceof RefusedError) return end(error.message)
      const text = `The state cannot be read: ${(error as Error).message}. The page tries again.`
      if (problem.textContent !== text) problem.textContent = text
    }
    timer = setTimeout(poll, pollMs)
  }
  void poll()
}

const kept = sessionStorage.getItem(tokenKey)
if (kept === null) askToken()
else showSystem(kept)
