import { existsSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import t from 'tap'

const root = resolve(import.meta.dirname, '../..')

t.test('each test that docs/security.md names exists', async t => {
  const [, claims = ''] = readFileSync(join(root, 'docs/security.md'), 'utf8').split(
    '\n## Claims and tests\n',
  )
  const rows = claims.split('\n').filter(line => line.startsWith('| ') && !/^\| (claim|---)/.test(line))
  t.ok(rows.length > 30, `${rows.length} claims`)
  for (const row of rows) {
    const [, path = '', name = ''] = /\| `(test\/[^`]+)`: (.+) \|$/.exec(row) ?? []
    const text = existsSync(join(root, path)) && path !== '' ? readFileSync(join(root, path), 'utf8') : ''
    const isNamed = [`'${name}'`, `\`${name}\``].some(quoted => name !== '' && text.includes(quoted))
    t.ok(isNamed, row)
  }
})
