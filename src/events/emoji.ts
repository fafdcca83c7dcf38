/** One emoji that Unicode recommends for general interchange, in its fully qualified form. */
const emoji = /^\p{RGI_Emoji}$/v

const variations = /[\ufe0e\ufe0f]/g
/** A character with text presentation by default, unless a skin tone follows: that gives it emoji presentation. */
const textByDefault = /[\p{Emoji}--\p{Emoji_Presentation}](?!\p{Emoji_Modifier})/gv

/**
 * Returns the canonical form of one emoji; undefined for any other text. Keyboards write an emoji with or without its
 * variation selectors: `❤` and `❤️` are one emoji, and the canonical form is the fully qualified one.
 */
export const canonicalEmoji = (text: string): string | undefined => {
  const qualified = text.replace(variations, '').replace(textByDefault, '$&\ufe0f')
  return emoji.test(qualified) ? qualified : undefined
}
