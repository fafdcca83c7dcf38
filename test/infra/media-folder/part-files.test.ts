import { readFileSync, type Stats, statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { PartFiles } from '../../../src/infra/media-folder/part-files.ts'
import { tempFolder } from '../../harness/temp-folder.ts'

const stalledMs = 100
const [old, fresh] = [Buffer.alloc(10, 'o'), Buffer.alloc(10, 'f')]

/** A body whose chunks are sent by hand. */
const bodyByHand = () => {
  const chunks: Uint8Array[] = []
  let isOver = false
  let wake = () => {}
  return {
    send(chunk: Uint8Array) {
      chunks.push(chunk)
      wake()
    },
    end() {
      isOver = true
      wake()
    },
    async *[Symbol.asyncIterator]() {
      for (;;) {
        const chunk = chunks.shift()
        if (chunk !== undefined) yield chunk
        else if (isOver) return
        else
          await new Promise<void>(resolve => {
            wake = resolve
          })
      }
    },
  }
}

async function* whole(bytes: Uint8Array) {
  yield bytes
}

for (const ending of ['goes on', 'ends early', 'disconnects'] as const)
  t.test(`a retry replaces a part that has stalled, whose request ${ending} later`, async t => {
    const folder = tempFolder(t)
    const parts = new PartFiles(folder, stalledMs)
    const upload = await parts.begin('key')
    /** Waits for a state of the file that the part arrives in. */
    const untilFile = async (holds: (file: Stats | undefined) => boolean): Promise<Stats | undefined> => {
      for (;;) {
        const file = statSync(join(folder, upload, 'coming-1'), { throwIfNoEntry: false })
        if (holds(file)) return file
        await sleep(5)
      }
    }
    const stalled = bodyByHand()
    stalled.send(old.subarray(0, 4))
    const first = parts.take(upload, 1, 10, stalled)
    first.catch(() => {})
    const before = await untilFile(file => file?.size === 4 && Date.now() - file.mtimeMs > 2 * stalledMs)
    // The other request is half way when the stalled one ends.
    const retry = bodyByHand()
    retry.send(fresh.subarray(0, 5))
    const second = parts.take(upload, 1, 10, retry)
    second.catch(() => {})
    await untilFile(file => file?.size === 5 && file.ino !== before?.ino)
    if (ending === 'goes on') stalled.send(old.subarray(4))
    if (ending !== 'disconnects') stalled.end()
    if (ending !== 'disconnects') await t.rejects(first)
    retry.send(fresh.subarray(5))
    retry.end()
    await second
    t.same(await parts.list('key', upload), [{ part: 1, size: 10 }])
    const file = join(tempFolder(t), 'file')
    await parts.join(upload, [{ part: 1, size: 10 }], file)
    t.same(readFileSync(file), fresh, 'with the bytes of the retry only')
  })

t.test('a part that arrives is not replaced', async t => {
  const parts = new PartFiles(tempFolder(t), 60_000)
  const upload = await parts.begin('key')
  const slow = bodyByHand()
  slow.send(old.subarray(0, 4))
  const first = parts.take(upload, 1, 10, slow)
  while ((await parts.take(upload, 1, 10, whole(fresh)).catch(({ code }) => code)) !== 'OVERLOADED')
    await sleep(5)
  slow.send(old.subarray(4))
  slow.end()
  await first
  await parts.take(upload, 1, 10, whole(fresh))
  t.same(await parts.list('key', upload), [{ part: 1, size: 10 }])
})
