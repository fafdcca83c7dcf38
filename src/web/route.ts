/** The open conversation is in the address (`#/c/<id>`), so that back, forward and reload do what they say. */
export const conversationOfAddress = (): string | undefined =>
  /^#\/c\/([A-Za-z0-9_-]{1,64})$/.exec(location.hash)?.[1]

export const addressOf = (c: string | undefined): string => (c === undefined ? '#/' : `#/c/${c}`)

export const goTo = (c: string | undefined): void => {
  location.hash = addressOf(c)
}
