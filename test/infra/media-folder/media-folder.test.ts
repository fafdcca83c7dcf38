import { mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { InvalidNameError } from '../../../src/events/index.ts'
import { openMediaFolder } from '../../../src/infra/media-folder/index.ts'
import { MediaProblem, type MediaStore } from '../../../src/media/index.ts'
import { type MediaStoreUnderTest, mediaStoreContract } from '../../contracts/media-store.ts'
import { mediaSweepContract } from '../../contracts/media-sweep.ts'
import { startMediaServer } from '../../harness/media-server.ts'
import { tempFolder } from '../../harness/temp-folder.ts'

const put = async (url: string, body: Uint8Array | string) => {
  const answer = await fetch(url, { method: 'PUT', body: body as Uint8Array<ArrayBuffer> })
  return { status: answer.status, body: await answer.json() }
}

const open = async (t: Test): Promise<MediaStoreUnderTest> => {
  const store = await openMediaFolder(tempFolder(t))
  const server = await startMediaServer(t, store)
  return {
    store,
    put: (url, body) => put(server + url, body),
    get: async (url, range) => {
      const answer = await fetch(server + url, { headers: range === undefined ? {} : { range } })
      return {
        status: answer.status,
        body: new Uint8Array(await answer.arrayBuffer()),
        headers: Object.fromEntries(answer.headers),
      }
    },
  }
}

mediaStoreContract('folder', open)
mediaSweepContract('folder', open)

const collect = async <T>(list: AsyncIterable<T>): Promise<T[]> => {
  const items: T[] = []
  for await (const item of list) items.push(item)
  return items
}

t.test('folder: no key leads outside', async t => {
  const store = await openMediaFolder(tempFolder(t))
  for (const key of [
    '../x',
    'a/../../x',
    '/etc/x',
    'a//b',
    'a/./b',
    '',
    'a/b\0',
    'a\\b',
    'ä',
    'a.b',
    `a/${'x'.repeat(300)}`,
  ]) {
    await t.rejects(store.put(key, new Uint8Array([1])), InvalidNameError, JSON.stringify(key))
    await t.rejects(store.get(key), InvalidNameError)
    await t.rejects(store.head(key), InvalidNameError)
    await t.rejects(store.remove([key]), InvalidNameError)
    await t.rejects(collect(store.read(key)), InvalidNameError)
  }
})

t.test('folder: missing permissions and space have a code', async t => {
  const folder = tempFolder(t)
  writeFileSync(join(folder, 'file'), '')
  await t.rejects(openMediaFolder(join(folder, 'file')), { code: MediaProblem.failed })
  const store = await openMediaFolder(join(folder, 'media'))
  await store.put('c/tea/0', new Uint8Array([1]))
  rmSync(join(folder, 'media'), { recursive: true })
  writeFileSync(join(folder, 'media'), '')
  await t.rejects(store.put('c/tea/0', new Uint8Array([1])), { code: MediaProblem.failed })
})

t.test('folder: two openings of it are one store, and both accept its URLs', async t => {
  const folder = tempFolder(t)
  const [one, other] = await Promise.all([openMediaFolder(folder), openMediaFolder(folder)])
  const server = await startMediaServer(t, other as MediaStore)
  const upload = await one!.beginUpload('uploads/A/content', 'text/plain')
  const { url } = await one!.signPart('uploads/A/content', upload, 1, 3, 60_000)
  t.equal((await put(server + url, 'tea')).status, 200)
  await other!.finishUpload('uploads/A/content', upload)
  t.equal(Buffer.from((await one!.get('uploads/A/content'))!).toString(), 'tea')
  t.equal(statSync(join(folder, 'key')).mode & 0o777, 0o600, 'only the owner can read the key')
  t.same(readdirSync(folder).sort(), ['key', 'objects', 'parts'])
})

t.test('folder: refusals of signed URLs give the reason', async t => {
  const store = await openMediaFolder(tempFolder(t))
  const server = await startMediaServer(t, store)
  const upload = await store.beginUpload('uploads/A/content', 'text/plain')
  const part = await store.signPart('uploads/A/content', upload, 1, 3, 60_000)
  const old = await store.signPart('uploads/A/content', upload, 1, 3, -1)
  await store.put('c/tea/hash/0', new Uint8Array([1]))
  const download = await store.signDownload(
    'c/tea/hash/0',
    { name: 'x', type: 'text/plain', inline: true },
    60_000,
  )
  const refusals: [url: string, body: string, status: number, code: string][] = [
    [old.url, 'tea', 403, 'URL_EXPIRED'],
    [download, 'tea', 403, 'URL_EXPIRED'],
    ['/v1/media/transfer', 'tea', 403, 'URL_EXPIRED'],
    [part.url.slice(0, -1), 'tea', 403, 'URL_EXPIRED'],
    [part.url, 'coffee', 400, 'BAD_REQUEST'],
    [part.url, '', 400, 'BAD_REQUEST'],
  ]
  for (const [url, body, status, code] of refusals)
    t.match(await put(server + url, body), { status, body: { ok: false, error: { code } } })
  const get = await fetch(server + part.url)
  t.equal(get.status, 403, 'a part’s URL cannot be read')
  await store.abandonUpload('uploads/A/content', upload)
  t.match(await put(server + part.url, 'tea'), { status: 404 })
})

t.test('folder: a client that disconnects during a part leaves nothing behind', async t => {
  const folder = tempFolder(t)
  const store = await openMediaFolder(folder)
  const server = new URL(await startMediaServer(t, store))
  const key = 'uploads/A/content'
  const upload = await store.beginUpload(key, 'text/plain')
  const { url } = await store.signPart(key, upload, 1, 1_000_000, 60_000)
  const socket = connect(Number(server.port), '127.0.0.1')
  socket.write(`PUT ${url} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n${'x'.repeat(300_000)}`)
  const files = () => readdirSync(join(folder, 'parts', upload)).sort()
  while (files().length < 2) await new Promise(resolve => setTimeout(resolve, 10))
  socket.destroy()
  while (files().length > 1) await new Promise(resolve => setTimeout(resolve, 10))
  t.same(files(), ['key'])
  t.same(await store.parts(key, upload), [])
})

t.test('folder: a slow reader is waited for, a disconnected one is released', async t => {
  const folder = tempFolder(t)
  const store = await openMediaFolder(folder)
  const server = new URL(await startMediaServer(t, store))
  const bytes = new Uint8Array(20_000_000).map((_, i) => i % 251)
  await store.put('c/tea/hash/0', bytes)
  const as = { name: 'x', type: 'application/octet-stream', inline: false }
  const url = await store.signDownload('c/tea/hash/0', as, 60_000)
  const socket = connect(Number(server.port), '127.0.0.1')
  socket.write(`GET ${url} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`)
  await new Promise(resolve => socket.once('readable', resolve))
  await new Promise(resolve => setTimeout(resolve, 300))
  const chunks: Buffer[] = []
  for await (const chunk of socket) {
    chunks.push(chunk as Buffer)
    if (Buffer.concat(chunks).length >= 20_000_000 + 200) break
    if (chunks.length % 50 === 0) await new Promise(resolve => setTimeout(resolve, 5))
  }
  const whole = Buffer.concat(chunks)
  t.ok(whole.subarray(whole.indexOf('\r\n\r\n') + 4).equals(Buffer.from(bytes)), 'all bytes came, in order')

  const leaver = connect(Number(server.port), '127.0.0.1')
  leaver.write(`GET ${url} HTTP/1.1\r\nHost: x\r\n\r\n`)
  await new Promise(resolve => leaver.once('readable', resolve))
  leaver.destroy()
  const other = await fetch(server.origin + url)
  t.equal((await other.arrayBuffer()).byteLength, bytes.length, 'others are served')
})

t.test('folder: foreign files are not objects', async t => {
  const folder = tempFolder(t)
  const store = await openMediaFolder(folder)
  await store.put('c/tea/0', new Uint8Array([1]))
  writeFileSync(join(folder, 'objects', 'c', 'tea', '.DS_Store'), '')
  mkdirSync(join(folder, 'objects', 'c', 'Tea'))
  writeFileSync(join(folder, 'parts', 'stray'), '')
  t.same(
    (await collect(store.list(''))).map(({ key }) => key),
    ['c/tea/0'],
  )
  t.same(await collect(store.openUploads()), [])
})
