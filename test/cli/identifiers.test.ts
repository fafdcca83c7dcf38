import { execFile } from 'node:child_process'
import t from 'tap'

/** Runs the command line. Resolves with its exit code and what it wrote to standard error. */
const run = (...args: string[]): Promise<{ code: number; stderr: string }> =>
  new Promise(resolve => {
    execFile(process.execPath, ['src/cli/main.ts', ...args], (error, _stdout, stderr) =>
      resolve({ code: (error as { code?: number } | null)?.code ?? 0, stderr }),
    )
  })

t.test('arguments that are no id are refused before anything is opened', async t => {
  const bad = ['*', '>', 'a.b', '..', 'a b', 'a'.repeat(65)]
  const commands: ((value: string) => string[])[] = [
    value => ['send', '--user', 'alice', '--', value, 'text'],
    value => ['send', '--user', 'alice', '--id', value, 'tea', 'text'],
    value => ['send', '--user', 'alice', '--reply-to', value, 'tea', 'text'],
    value => ['tail', '--user', 'alice', '--conversation', value],
    value => ['replay', '--conversation', value],
  ]
  for (const [i, command] of commands.entries()) {
    const value = bad[i % bad.length]!
    const { code, stderr } = await run(...command(value))
    t.equal(code, 2, command(value).join(' '))
    t.match(stderr, /BAD_OPTION.*is not a valid/, command(value).join(' '))
  }
})

t.test('names that no user can have are refused', async t => {
  for (const value of ['', 'a'.repeat(65), 'é'.repeat(20)])
    for (const command of [
      ['send', '--user', value, 'tea', 'text'],
      ['tail', '--user', value],
      ['token', '--user', value],
    ]) {
      const { code, stderr } = await run(...command)
      t.equal(code, 2, command.join(' '))
      t.match(stderr, /BAD_OPTION: --user: ".*" names no user/, command.join(' '))
    }
})
