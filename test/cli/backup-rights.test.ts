import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { append } from '../harness/backups.ts'
import { startNats } from '../harness/nats.ts'
import { runConfab } from '../harness/replay.ts'
import { tempFolder } from '../harness/temp-folder.ts'

const page = readFileSync(join(import.meta.dirname, '../../docs/operations/backup.md'), 'utf8')

/** Returns the subjects that a block of the page allows to publish. */
const publishOf = (name: string): string[] => {
  const [, list = ''] =
    new RegExp(`^${name}: \\{\\n {2}publish: \\[\\n(.*?)\\n {2}\\]`, 'ms').exec(page) ?? []
  return [...list.matchAll(/"([^"]+)"/g)].map(([, subject]) => subject!)
}

/** Without the first one, a backup fails after a minute. Only a long stream needs the second one. */
const untried: ReadonlySet<string> = new Set(['$JS.API.CONSUMER.CREATE.>', '$JS.FC.>'])
const password = 'the-password-of-tests'

t.test('the rights of the page suffice, and a backup uses each of them', { timeout: 300_000 }, async t => {
  const [backup, restore] = [publishOf('BACKUP'), publishOf('RESTORE')]
  t.ok(backup.length >= 11)
  t.ok(restore.length >= 6)
  const userOf = (name: string, publish: readonly string[]): string =>
    `{ user: ${name}, password: ${password}, permissions: { publish: ${JSON.stringify(publish)}, subscribe: ["_INBOX.>"] } }`
  const authorization = `authorization { users: [
    { user: confab, password: the-password-of-a-test }
    ${userOf('backup', backup)}
    ${userOf('operator', [...backup, ...restore])}
    ${backup
      .map((subject, index) =>
        userOf(
          `lacking${index}`,
          backup.filter(one => one !== subject),
        ),
      )
      .join('\n')}
  ] }`
  const nats = await startNats(t, { authorization })
  await append(await nats.connect(), ['large'], 20_000)
  const folder = tempFolder(t)
  const run = (user: string, ...args: string[]) =>
    runConfab([...args, '--nats', `nats://${user}:${password}@127.0.0.1:${nats.port}`])
  const taken = await run('backup', 'backup', join(folder, 'backup'))
  t.equal(taken.code, 0, taken.stderr)
  t.notMatch(taken.stderr, /not recorded/)
  const verified = await run('operator', 'backup', join(folder, 'operator'), '--verify')
  t.equal(verified.code, 0, verified.stderr)
  t.same(nats.violations(), [])
  const refused = await run('backup', 'backup', join(folder, 'backup'), '--verify')
  t.match(refused, { code: 1, stderr: /NATS_RIGHTS/ })
  for (const [index, subject] of backup.entries()) {
    if (untried.has(subject)) continue
    const { stderr } = await run(`lacking${index}`, 'backup', join(folder, `lacking${index}`))
    t.match(stderr, /NATS_RIGHTS: the NATS user lacking/, subject)
  }
})
