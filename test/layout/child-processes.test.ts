import { globSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import t from 'tap'

const src = resolve(import.meta.dirname, '../../src')
const calls = /\b(?:spawn|spawnSync|exec|execSync|execFile|execFileSync|fork|run)\(\s*['"a-z]/

t.test('every file that starts a child process gives it an environment without secrets', async t => {
  const files = globSync('**/*.ts', { cwd: src }).filter(file =>
    /from 'node:child_process'/.test(readFileSync(join(src, file), 'utf8')),
  )
  t.ok(files.length >= 4, files.join(', '))
  for (const file of files) {
    const text = readFileSync(join(src, file), 'utf8')
    t.match(text, calls, `${file} starts one`)
    t.match(text, /\bchildEnvironment\(/, file)
    t.notMatch(text, /\.\.\.process\.env/, `${file} passes no whole environment`)
  }
})
