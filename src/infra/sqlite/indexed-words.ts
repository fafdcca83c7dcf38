import { wordsOf } from '../../projections/index.ts'

const ascii = /^[\0-\x7f]*$/

/**
 * Returns the indexed form of a text for FTS5's `ascii` tokenizer, which splits ASCII as `wordsOf` does and leaves
 * everything else unchanged. Plain ASCII text is passed through.
 */
export const indexed = (text: string): string =>
  ascii.test(text)
    ? text
    : wordsOf(text)
        .map(({ folded }) => folded)
        .join(' ')
