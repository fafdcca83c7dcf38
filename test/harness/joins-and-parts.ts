import { existsSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'

/** A user joins or leaves. A join of a present user is a new connection after a loss. */
export interface Step {
  readonly user: string
  readonly comes: boolean
}

const corpus = resolve(import.meta.dirname, '../../../shared/data/ubuntu-irc/train')

/** Why there is no corpus; false if there is one. */
export const noCorpus: string | false = existsSync(corpus) ? false : `the corpus is not here: ${corpus}`

/** Returns joins and parts of a day in #ubuntu, in order; users are numbered by their first appearance. */
export const dayOfJoins = (name: string): Step[] => {
  const users = new Map<string, string>()
  const steps: Step[] = []
  for (const row of readFileSync(resolve(corpus, `${name}.raw.txt`), 'utf8').split('\n')) {
    const [, nick, verb] = row.match(/^=== (\S+) .*\] {2}has (joined|left) #/) ?? []
    if (nick === undefined) continue
    const user = users.get(nick) ?? `irc-${users.size}`
    users.set(nick, user)
    steps.push({ user, comes: verb === 'joined' })
  }
  return steps
}

/** Generates as many steps: of each ten, eight join, one reconnects, one leaves. */
export const generatedJoins = (count: number): Step[] => {
  const steps: Step[] = []
  for (let n = 0; n < count; n++) {
    const user = `made-${n % 10 < 8 ? n : n - 8}`
    steps.push({ user, comes: n % 10 !== 9 })
  }
  return steps
}
