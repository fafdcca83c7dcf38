import { readFileSync } from 'node:fs'
import t from 'tap'
import { type ActionFacts, Actions, type Recording } from '../../src/audit/index.ts'

const page = readFileSync(new URL('../../docs/operations.md', import.meta.url), 'utf8')

const recorded: Readonly<Record<Recording, string>> = {
  required: 'before and after; refused without',
  around: 'before and after',
  after: 'once',
}

t.test('docs/operations.md lists exactly the actions of the table', async t => {
  const section = page.slice(page.indexOf('## The audit stream'), page.indexOf('## Clocks'))
  const rows = [...section.matchAll(/^\| `([a-z]+\.[a-z]+)` \| (.+) \| (.+) \|$/gm)].map(
    ([, ...cells]) => cells,
  )
  t.same(
    rows,
    Object.entries<ActionFacts>(Actions).map(([action, { meaning, recording }]) => [
      action,
      meaning,
      recorded[recording],
    ]),
  )
  const limited = Object.entries<ActionFacts>(Actions).filter(([, { perMinute }]) => perMinute !== undefined)
  for (const [action, { perMinute }] of limited) {
    t.equal(perMinute, 10, 'ten a minute')
    t.ok(section.includes(`\`${action}\``), action)
  }
})

t.test('each action has a code of its own form, and a sentence', async t => {
  for (const [action, { meaning }] of Object.entries(Actions)) {
    t.match(action, /^[a-z]+\.[a-z]+$/)
    t.match(meaning, /^[A-Z].*\.$/, action)
  }
})
