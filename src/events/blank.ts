/**
 * Characters without a glyph: white space, control characters, characters that Unicode lets a renderer ignore (zero
 * width characters, variation selectors, Hangul fillers, tags), other format characters, and the blank Braille pattern.
 * The signs that enclose a number, such as U+06DD, are format characters with a glyph.
 */
const invisible =
  /^[\p{White_Space}\p{Cc}\p{Default_Ignorable_Code_Point}[\p{Cf}--[\u0600-\u0605\u06dd\u070f\u0890\u0891\u08e2\u{110bd}\u{110cd}]]\u2800]*$/v

/** Whether a text has no visible character. The empty text is blank. */
export const isBlank = (text: string): boolean => invisible.test(text)
