import { html, render } from 'htm/preact'
import { useCallback, useState } from 'preact/hooks'
import { type Credentials, clientFor, remember } from '../sign-in.ts'
import { LinkQuestion, SignInForm } from '../sign-in-form.ts'
import { useSignIn } from '../use-sign-in.ts'
import { CallPage } from './call-page.ts'
import { Phone } from './phone.ts'

/**
 * STUN and TURN servers from the address: `?ice=stun:stun.example.org`. Without one, calls work within one network.
 */
const iceServers = (): RTCIceServer[] =>
  new URL(location.href).searchParams.getAll('ice').map(urls => ({ urls }))

const Root = () => {
  const [phone, setPhone] = useState<Phone | undefined>(undefined)
  const [busy, setBusy] = useState(false)
  const [problem, setProblem] = useState<string | undefined>(undefined)

  const enter = useCallback(async (credentials: Credentials) => {
    setBusy(true)
    setProblem(undefined)
    try {
      const client = await clientFor(credentials)
      const next = new Phone(client, iceServers())
      await client.connect()
      remember(credentials)
      setPhone(next)
    } catch (error) {
      setProblem(error instanceof Error ? error.message : String(error))
    }
    setBusy(false)
  }, [])

  const { asked, answer } = useSignIn(phone !== undefined, enter)

  // A call in progress continues: it has the user of before.
  if (asked !== undefined && phone === undefined)
    return html`<${LinkQuestion} credentials=${asked} onAnswer=${answer} />`
  return phone === undefined
    ? html`<${SignInForm} busy=${busy} problem=${problem} onSignIn=${(user: string) => enter({ user })} />`
    : html`<${CallPage} phone=${phone} />`
}

const root = document.getElementById('app')
if (root !== null) render(html`<${Root} />`, root)
