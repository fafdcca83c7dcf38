import { wordsOf } from '../../projections/index.ts'

const ascii = /^[\0-\x7f]*$/

/**
 * What the index gets of a text, for FTS5's `ascii` tokenizer, which takes ASCII apart as `wordsOf` does and leaves everything else alone. So plain text goes
 * as it is.
 */
export const indexed = (text: string): string =>
  ascii.test(text)
    ? text
    : wordsOf(text)
        .map(({ folded }) => folded)
        .join(' ')
