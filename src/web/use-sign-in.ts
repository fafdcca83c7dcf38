import { useEffect, useState } from 'preact/hooks'
import { type Credentials, credentialsOfLink, credentialsOfTab } from './sign-in.ts'

const isSame = (one: Credentials, other: Credentials | undefined): boolean =>
  JSON.stringify(one) === JSON.stringify(other)

/**
 * Signs the tab in with the credentials that it has, and asks before it uses those of a link: `asked` is set until
 * `answer` is called. A link that repeats the credentials of the tab needs no question.
 */
export const useSignIn = (
  isSignedIn: boolean,
  enter: (credentials: Credentials) => void,
): { readonly asked: Credentials | undefined; readonly answer: (isAccepted: boolean) => void } => {
  const [asked, setAsked] = useState<Credentials | undefined>(undefined)
  const enterAsBefore = (): void => {
    const credentials = credentialsOfTab()
    if (credentials !== undefined) enter(credentials)
  }
  useEffect(() => {
    const follow = (): boolean => {
      const credentials = credentialsOfLink()
      if (credentials === undefined || isSame(credentials, credentialsOfTab())) return false
      setAsked(credentials)
      return true
    }
    const onHash = (): void => void follow()
    addEventListener('hashchange', onHash)
    if (!follow()) enterAsBefore()
    return () => removeEventListener('hashchange', onHash)
  }, [enter])
  return {
    asked,
    answer: isAccepted => {
      setAsked(undefined)
      if (isAccepted && asked !== undefined) enter(asked)
      else if (!isSignedIn) enterAsBefore()
    },
  }
}
