import { html, render } from 'htm/preact'
import { useCallback, useRef, useState } from 'preact/hooks'
import { App } from './app.ts'
import type { Chat } from './chat.ts'
import { type Credentials, forget, signIn } from './sign-in.ts'
import { LinkQuestion, SignInForm } from './sign-in-form.ts'
import { useSignIn } from './use-sign-in.ts'

const Root = () => {
  const [chat, setChat] = useState<Chat | undefined>(undefined)
  const [busy, setBusy] = useState(false)
  const [problem, setProblem] = useState<string | undefined>(undefined)

  const opened = useRef<Chat | undefined>(undefined)
  const enter = useCallback(async (credentials: Credentials) => {
    opened.current?.close()
    opened.current = undefined
    setChat(undefined)
    setBusy(true)
    setProblem(undefined)
    try {
      opened.current = await signIn(credentials)
      setChat(opened.current)
    } catch (error) {
      setProblem(error instanceof Error ? error.message : String(error))
    }
    setBusy(false)
  }, [])

  const { asked, answer } = useSignIn(chat !== undefined, enter)

  if (asked !== undefined) return html`<${LinkQuestion} credentials=${asked} onAnswer=${answer} />`
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
