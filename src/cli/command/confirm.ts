import { createInterface } from 'node:readline/promises'
import { CliError } from './cli-error.ts'

/** Asks on the terminal. Throws CliError without a terminal. */
export const confirm = async (question: string): Promise<boolean> => {
  if (!process.stdin.isTTY)
    throw new CliError('BAD_OPTION', 'this command asks first, and there is no terminal: confirm with --yes')
  const terminal = createInterface({ input: process.stdin, output: process.stderr })
  try {
    return /^y(es)?$/i.test((await terminal.question(`${question} [y/N] `)).trim())
  } finally {
    terminal.close()
  }
}
