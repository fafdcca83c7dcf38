import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'

const root = join(import.meta.dirname, '../..')
const read = (path: string): string => readFileSync(join(root, path), 'utf8')
const files = execFileSync('git', ['ls-files', '-co', '--exclude-standard', '--', '*.md'], {
  cwd: root,
  encoding: 'utf8',
})
const pages = files
  .split('\n')
  .filter(path => /^(README|SECURITY|docs\/(?!adr))/.test(path) && path !== 'docs/configuration.md')

const configuration = read('docs/configuration.md')
const keys = [...configuration.matchAll(/^\| `([a-z][\w.]*)` /gm)].map(([, key]) => key!)
const variables = new Set([...configuration.matchAll(/`(CONFAB_\w+)`/g)].map(([, name]) => name!))
/** First parts of keys, such as `edge`. */
const sections = new Set(keys.filter(key => key.includes('.')).map(key => key.split('.')[0]!))
/** Keys, and groups of keys such as `edge.tls`. */
const known = new Set(
  keys.flatMap(key => key.split('.').map((_, n, parts) => parts.slice(0, n + 1).join('.'))),
)

/** Names of other kinds that look like options: values of the Helm chart, files, actions of the audit stream. */
const others =
  /^(edge\.(service|image|replicas|preStopSeconds)|nats\.(json|js|conf|io|pem)|edge\.pem|audit\.log|admin\.refuse|projections\.\w+$|backup\.(take|restore|enabled)$)/

t.test('each option that a page names exists', async t => {
  const problems: string[] = []
  let names = 0
  for (const page of pages)
    for (const [, name = ''] of read(page).matchAll(/`([a-z]\w*(?:\.[a-zA-Z]\w*)+)(?:\.\*)?`/g)) {
      if (!sections.has(name.split('.')[0]!) || others.test(name)) continue
      names++
      if (!known.has(name)) problems.push(`${page}: ${name}`)
    }
  t.same(problems, [])
  t.ok(names > 50, `${names} names`)
})

t.test('each variable of confab that a page names exists', async t => {
  const problems: string[] = []
  // Of nats-server and of the tests, and secrets in files.
  for (const page of pages)
    for (const [name] of read(page).matchAll(/\bCONFAB_[A-Z_]*[A-Z]\b/g))
      if (
        !variables.has(name.replace(/_FILE$/, '')) &&
        !/^CONFAB_NATS_\w*(PASSWORD|NAME|LISTEN|STORE|ROUTES)$/.test(name) &&
        name !== 'CONFAB_TEST_REQUIRE'
      )
        problems.push(`${page}: ${name}`)
  t.same(problems, [])
})
