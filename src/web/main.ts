import { html, render } from 'htm/preact'
import { useCallback, useEffect, useState } from 'preact/hooks'
import { App } from './app.ts'
import type { Chat } from './chat.ts'
import { type Credentials, credentialsHere, forget, signIn } from './sign-in.ts'
import { SignInForm } from './sign-in-form.ts'

const Root = () => {
  const [chat, setChat] = useState<Chat | undefined>(undefined)
  const [busy, setBusy] = useState(false)
  const [problem, setProblem] = useState<string | undefined>(undefined)

  const enter = useCallback(async (credentials: Credentials) => {
    setBusy(true)
    setProblem(undefined)
    try {
      setChat(await signIn(credentials))
    } catch (error) {
      setProblem(error instanceof Error ? error.message : String(error))
    }
    setBusy(false)
  }, [])

  useEffect(() => {
    const credentials = credentialsHere()
    if (credentials !== undefined) void enter(credentials)
  }, [enter])

  if (chat === undefined)
    return html`<${SignInForm} busy=${busy} problem=${problem} onSignIn=${(user: string) => enter({ user })} />`
  return html`
    <${App}
      chat=${chat}
      onSignOut=${(why?: string) => {
        // Without a reason the user has asked for it.
        if (why === undefined) chat.drafts.clear()
        chat.close()
        forget()
        setProblem(why)
        setChat(undefined)
      }}
    />
  `
}

const root = document.getElementById('app')
if (root !== null) render(html`<${Root} />`, root)
