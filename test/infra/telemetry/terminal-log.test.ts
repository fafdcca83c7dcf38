import { execFileSync } from 'node:child_process'
import { join, resolve } from 'node:path'
import t from 'tap'

const root = resolve(import.meta.dirname, '../../..')
const logger = join(root, 'src/infra/telemetry/logger.ts')
const code = `const { createLogger } = await import('${logger}');
createLogger().warn({ session: 's1', token: 'let-me-in' }, 'slow consumer')`

/** Runs the code with a pseudo-terminal as its standard streams, and returns what it wrote. */
const onTerminal = (env: Record<string, string>): string =>
  execFileSync('script', ['-qec', `${process.execPath} --input-type=module -e "$CODE"`, '/dev/null'], {
    encoding: 'utf8',
    env: { ...process.env, TERM: 'xterm', NO_COLOR: '', CODE: code, ...env },
  })

const hasNoScript = ((): string | false => {
  if (process.platform !== 'linux') return 'script(1) has other options here'
  try {
    execFileSync('script', ['--version'], { stdio: 'ignore' })
    return false
  } catch {
    return 'script(1) is not installed'
  }
})()

t.test('on a terminal, log lines are readable and coloured', { skip: hasNoScript }, async t => {
  const coloured = onTerminal({})
  t.match(coloured, /\d\d:\d\d:\d\d\.\d\d\d/)
  t.match(coloured, 'slow consumer')
  t.match(coloured, '\u001b[')
  t.notMatch(coloured, /let-me-in|"msg"/)
})

t.test('NO_COLOR leaves out the colours', { skip: hasNoScript }, async t => {
  const plain = onTerminal({ NO_COLOR: '1' })
  t.match(plain, /WARN.*slow consumer/)
  t.notMatch(plain, '\u001b[')
})
