/** The open conversation is part of the address (`#/c/<id>`), so back, forward and reload work. */
export const conversationOfAddress = (): string | undefined =>
  /^#\/c\/([A-Za-z0-9_-]{1,64})$/.exec(location.hash)?.[1]

export const addressOf = (c: string | undefined): string => (c === undefined ? '#/' : `#/c/${c}`)

export const goTo = (c: string | undefined): void => {
  location.hash = addressOf(c)
}
