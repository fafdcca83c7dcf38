/** Secrets of this process that no log line, error or answer may contain, in every form in which they may appear. */
const forms = new Set<string>()

/** Shorter values are ordinary words: hiding them would damage the text and protect nothing. */
const shortest = 8

const hidden = '[redacted]'

/** Credentials of a URL anywhere in a text, without the scheme: a search for it would not be linear. */
const urlCredentials = /:\/\/[^\s/?#"'`<>]*@/g

/** Returns a text without the credentials of its URLs. */
export const redactUrls = (text: string): string => text.replaceAll(urlCredentials, `://${hidden}@`)

const formsOf = (secret: string): string[] => [
  secret,
  JSON.stringify(secret).slice(1, -1),
  encodeURIComponent(secret),
  Buffer.from(secret).toString('base64'),
]

/** Makes `redact` hide a secret from now on. */
export const hideSecret = (secret: string): void => {
  if (secret.length < shortest) return
  for (const form of formsOf(secret)) forms.add(form)
}

/** Makes `redact` hide the password of a URL, and the user where it has no password: then the user is a token. */
export const hideUrlCredentials = (url: string): void => {
  if (!URL.canParse(url)) return
  const { username, password } = new URL(url)
  const secret = password === '' ? username : password
  hideSecret(secret)
  try {
    hideSecret(decodeURIComponent(secret))
    hideSecret(`${decodeURIComponent(username)}:${decodeURIComponent(password)}`)
  } catch {
    // A malformed percent encoding has no decoded form.
  }
}

/** Returns a text without the secrets of this process, and without the credentials of URLs. */
export const redact = (text: string): string => {
  let safe = redactUrls(text)
  for (const form of forms) if (safe.includes(form)) safe = safe.replaceAll(form, hidden)
  return safe
}
