import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { createLifecycle } from '../src/app/lifecycle.ts'
import { settlesWithin } from '../src/base/timeout.ts'
import { createLogger } from '../src/infra/telemetry/index.ts'
import { tempFolder } from './harness/temp-folder.ts'

t.test(
  'parts end one after the other, the last first; one that fails or hangs does not keep the others',
  async t => {
    const file = join(tempFolder(t), 'log')
    const logger = createLogger({ level: 'warn', destination: file })
    const life = createLifecycle(logger, 50)
    const ended: string[] = []
    life.onStop('first', () => ended.push('first'))
    life.onStop('hangs', () => new Promise(() => {}))
    life.onStop('fails late', async () => {
      await null
      throw new Error('late')
    })
    life.onStop('fails', () => {
      throw new Error('at once')
    })
    life.onStop('last', async () => ended.push('last'))
    await life.stop()
    t.same(ended, ['last', 'first'])
    const told = readFileSync(file, 'utf8').trim().split('\n')
    t.match(
      told.map(line => JSON.parse(line)),
      [
        { part: 'fails', msg: 'stopping' },
        { part: 'fails late', msg: 'stopping' },
        { part: 'hangs', msg: 'a part does not end: it is left behind' },
      ],
    )
    await life.stop()
    t.equal(ended.length, 2, 'once')
  },
)

t.test(
  'waiting within a time tells whether it was in time, and rejects as what is waited for does',
  async t => {
    t.equal(await settlesWithin(1_000, Promise.resolve()), true)
    t.equal(await settlesWithin(1, new Promise(() => {})), false)
    await t.rejects(settlesWithin(1_000, Promise.reject(new Error('no'))), { message: 'no' })
  },
)
