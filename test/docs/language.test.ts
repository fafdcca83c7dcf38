import t from 'tap'
import { checkLanguage } from '../../scripts/check-language.ts'

const lines = (path: string, text: string): number[] => checkLanguage(path, text).map(({ line }) => line)
const long = `${'word '.repeat(24)}end.`

t.test(
  'long lines are found in comments and Markdown, not in code, tables, URLs and code blocks',
  async t => {
    t.same(lines('a.ts', `// ${long}\nconst a = 1\n/**\n * ${long}\n */`), [1, 4])
    t.same(lines('a.ts', `const a = '${long}'\n// https://example.com/${'a'.repeat(120)}`), [])
    t.same(lines('a.md', `${long}\n\n| ${long} |\n\n\`\`\`\n${long}\n\`\`\`\n${long}`), [1, 8])
    t.same(lines('docs/glossary.md', long), [1], 'files that quote banned words have no long lines either')
  },
)

t.test('banned words are found in comments, strings and Markdown', async t => {
  t.same(
    lines('a.ts', "// Nobody reads it.\nconst a = 'the client is told of it'\nconst b = 'nobody'"),
    [1, 2],
  )
  t.same(
    lines('a.md', 'It goes on.\n`nobody` is a value.\nWhat it sends is lost.\nWhat does it send?'),
    [1, 3],
  )
  t.same(
    lines('a.ts', '// The patience option, and somebody.'),
    [1],
    'an allowed name excuses no other word of the text',
  )
  t.same(lines('docs/glossary.md', 'Not "nobody".'), [])
})

t.test('comments of scripts, settings and style sheets are checked', async t => {
  t.same(lines('a.yaml', `a: nobody\nb: 1 # for nobody\n# ${long}`), [2, 3])
  t.same(lines('.ci/run', '#!/usr/bin/env bash\n# What is missing is fetched.\necho nobody'), [2])
  t.same(lines('a.css', '/* Where somebody writes. */\na::after { content: "nobody" }'), [1])
})

t.test('files of other kinds are not checked', async t => {
  t.same(lines('a.svg', `nobody ${long}`), [])
})
