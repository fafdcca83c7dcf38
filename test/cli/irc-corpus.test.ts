import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import t from 'tap'
import { readLog } from '../../src/cli/import/irc-source.ts'
import { decodeLog, linesOf } from '../../src/cli/import/log-text.ts'
import { dayInName } from '../../src/cli/import/log-time.ts'

const corpus = resolve(import.meta.dirname, '../../../shared/data/ubuntu-irc')
const skip = existsSync(corpus) ? false : 'the corpus is not here: ../shared/data/ubuntu-irc'

t.test('of all days of #ubuntu, only messages without text are reported', { skip }, async t => {
  const wrong: string[] = []
  let messages = 0
  let empty = 0
  for (const folder of ['train', 'dev'])
    for (const name of readdirSync(join(corpus, folder)).filter(name => name.endsWith('.raw.txt'))) {
      const lines = linesOf(decodeLog(readFileSync(join(corpus, folder, name))))
      const content = readLog({ stem: name, day: dayInName(name)! }, 'ubuntu', lines, '')
      messages += content.items.filter(({ kind }) => kind === 'message').length
      empty += content.bad.length
      for (const { line, reason } of content.bad)
        if (!/^\[..:..\] (?:<[^>]*>| \* \S+) *$/.test(lines[line - 1]!))
          wrong.push(`${name}:${line}: ${reason}`)
      const accounted =
        new Set(content.items.map(({ line }) => line)).size + content.bad.length + content.ignored
      if (accounted !== lines.length) wrong.push(`${name}: ${accounted} of ${lines.length} lines`)
    }
  t.same(wrong, [])
  t.comment(`${messages} messages, ${empty} without text`)
})
