import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmdirSync, statfsSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { spawnConfab, untilReady } from '../harness/confab-process.ts'
import { freePort } from '../harness/free-ports.ts'
import { type Acked, ackedAreStored, seqsAreGapless } from '../harness/invariants.ts'
import { replayLog } from '../harness/replay.ts'
import { tempFolder } from '../harness/temp-folder.ts'

/** A file system of its own, to be filled or made read-only. */
const mount = (t: { teardown(done: () => void): void }, folder: string, size: string): string => {
  mkdirSync(folder)
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', folder], { stdio: 'pipe' })
  t.teardown(() => execFileSync('umount', ['-l', folder]))
  return folder
}

/** Why these tests cannot run here; false if they can. */
const skip = ((): string | false => {
  const folder = mkdtempSync(join(tmpdir(), 'confab-mount-'))
  try {
    execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', folder], { stdio: 'pipe' })
    execFileSync('umount', [folder])
    return false
  } catch {
    return 'this process may not mount a file system'
  } finally {
    rmdirSync(folder)
  }
})()

t.test('a read-only data folder: a clear error, at once', { skip, timeout: 60_000 }, async t => {
  const folder = mount(t, join(tempFolder(t), 'disk'), '64m')
  execFileSync('mount', ['-o', 'remount,ro', folder])
  const confab = await spawnConfab({ data: join(folder, 'data'), port: await freePort() })
  t.not(await confab.exited(), 0)
  t.match(confab.output(), /^error BAD_OPTION: .*is not writable/m)
  t.notMatch(confab.output(), /\n\s+at /, 'no stack trace')
})

t.test(
  'a full disk: no ack is lost, and it continues when there is room again',
  { skip, timeout: 180_000 },
  async t => {
    const folder = mount(t, join(tempFolder(t), 'disk'), '48m')
    const data = join(folder, 'data')
    const confab = await untilReady(await spawnConfab({ data, port: await freePort() }))
    t.teardown(() => confab.stop())
    const token = await confab.token('alice')
    const post = async (request: Record<string, unknown>) => {
      const answer = await fetch(`${confab.url}/v1/commands`, {
        method: 'POST',
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
        body: JSON.stringify({ id: '1', ...request }),
      })
      return (await answer.json()) as { ok: boolean; seq?: number; error?: { code: string; message: string } }
    }
    t.equal((await post({ t: 'create', c: 'tea', kind: 'group', members: [] })).ok, true)

    const acked: Acked[] = []
    const text = 'x'.repeat(16_000)
    let refused: { code: string; message: string } | undefined
    for (let i = 0; refused === undefined && i < 10_000; i += 20) {
      const batch = Array.from({ length: 20 }, (_, k) => ({
        c: 'tea',
        m: `m-${i + k}`,
        text: `${i + k} ${text}`,
      }))
      const answers = await Promise.all(batch.map(message => post({ t: 'send', ...message })))
      for (const [k, answer] of answers.entries())
        if (answer.ok) acked.push({ ...batch[k]!, from: 'alice', seq: answer.seq! })
        else refused = answer.error
    }
    t.match(
      refused,
      { code: /^(UNAVAILABLE|OVERLOADED)$/ },
      `refused after ${acked.length}: ${JSON.stringify(refused)}`,
    )
    t.equal((await fetch(`${confab.url}/healthz`)).status, 200, 'the process stays up')

    execFileSync('mount', ['-o', 'remount,size=256m', folder])
    for (let answer = await post({ t: 'send', c: 'tea', m: 'after', text: 'room again' }); ; ) {
      if (answer.ok) {
        acked.push({ c: 'tea', m: 'after', text: 'room again', from: 'alice', seq: answer.seq! })
        break
      }
      await sleep(200)
      answer = await post({ t: 'send', c: 'tea', m: 'after', text: 'room again' })
    }
    await untilReady(confab)
    const log = await replayLog(['--data', data])
    for (const c of log.keys()) if (c !== 'tea') log.delete(c)
    ackedAreStored(t, log, acked)
    seqsAreGapless(t, log)
  },
)

t.test(
  'a nearly full disk: uploads, then new conversations are refused',
  { skip, timeout: 120_000 },
  async t => {
    const folder = mount(t, join(tempFolder(t), 'disk'), '200m')
    const confab = await untilReady(await spawnConfab({ data: join(folder, 'data'), port: await freePort() }))
    t.teardown(() => confab.stop())
    const headers = { authorization: `Bearer ${await confab.token('alice')}` }
    const codeOf = async (request: Record<string, unknown>): Promise<string> => {
      const body = JSON.stringify({ id: '1', ...request })
      const answer = await fetch(`${confab.url}/v1/commands`, { method: 'POST', headers, body })
      const { ok, error } = (await answer.json()) as { ok: boolean; error?: { code: string } }
      return ok ? 'ok' : (error?.code ?? '')
    }
    /** Leaves this part of the disk free, and waits until the server has measured it. */
    const leaveFree = async (part: number): Promise<void> => {
      const { bavail, blocks, bsize } = statfsSync(folder)
      writeFileSync(join(folder, `filler-${part}`), Buffer.alloc((bavail - blocks * part) * bsize))
      await sleep(2_000)
    }
    const create = (c: string) => codeOf({ t: 'create', c, kind: 'group', members: [] })
    const upload = (n: number) =>
      codeOf({ t: 'media', name: 'a.txt', type: 'text/plain', size: 10, sha256: String(n).repeat(64) })
    t.equal(await create('tea'), 'ok')
    t.equal(await upload(1), 'ok')
    await leaveFree(0.08)
    t.equal(await upload(2), 'OVERLOADED')
    t.equal(await create('milk'), 'ok')
    await leaveFree(0.04)
    t.equal(await create('more'), 'OVERLOADED')
    t.equal(await codeOf({ t: 'send', c: 'tea', m: 'm1', text: 'x' }), 'ok')
  },
)
