import t from 'tap'
import { fuzz } from './fuzz.ts'

/** Two minutes of `npm run fuzz`, with the same seed each time: a change is to blame for a failure. */
const seed = 20_261_201

/** The clients have loopback addresses of their own, and the open files of the server are counted in /proc. */
const skip = process.platform === 'linux' ? false : 'needs Linux'

t.test('no generated input harms a server', { timeout: 540_000, skip }, async t => {
  t.comment(`seed ${seed}`)
  await fuzz(t, { seed, minutes: 2, log: line => t.comment(line) })
})
