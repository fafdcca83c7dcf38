import t from 'tap'
import { fuzz } from './fuzz.ts'

/** Two minutes of `npm run fuzz`. A new seed each time: a failure names it. */
const seed = Math.floor(Math.random() * 1_000_000)

t.test(`no generated input harms a server: seed ${seed}`, { timeout: 540_000 }, async t => {
  await fuzz(t, { seed, minutes: 2, log: line => t.comment(line) })
})
