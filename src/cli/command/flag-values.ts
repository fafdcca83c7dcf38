import { InvalidArgumentError } from 'commander'

/** Parses a time in ISO 8601. Throws InvalidArgumentError. */
export const timeValue = (value: string): Date => {
  const time = new Date(value)
  if (Number.isNaN(time.getTime()))
    throw new InvalidArgumentError('Give a time such as 2026-11-24 or 2026-11-24T02:30:00Z.')
  return time
}

/** Returns a parser of whole numbers from 1 to `most`. It throws InvalidArgumentError. */
export const countUpTo =
  (most: number) =>
  (value: string): number => {
    const number = Number(value)
    if (!/^\d+$/.test(value) || number < 1 || number > most)
      throw new InvalidArgumentError(`Give a number from 1 to ${most}.`)
    return number
  }

/** Collects the values of a flag that is repeated or has commas. */
export const collectValues = (value: string, before: readonly string[] | undefined): string[] => [
  ...(before ?? []),
  ...value.split(','),
]
