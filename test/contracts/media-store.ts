import t, { type Test } from 'tap'
import type { MediaStore } from '../../src/media/index.ts'

/** An empty store, and functions that put a part and get a download by URL. */
export interface MediaStoreUnderTest {
  readonly store: MediaStore
  put(url: string, body: Uint8Array): Promise<{ status: number }>
  get(
    url: string,
    range?: string,
  ): Promise<{ status: number; body: Uint8Array; headers: Readonly<Record<string, string | null>> }>
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const textOf = (data: Uint8Array | undefined): string | undefined =>
  data === undefined ? undefined : new TextDecoder().decode(data)

const all = async <T>(list: AsyncIterable<T>): Promise<T[]> => {
  const items: T[] = []
  for await (const item of list) items.push(item)
  return items
}

const whole = async (chunks: AsyncIterable<Uint8Array>): Promise<string> =>
  Buffer.concat(await all(chunks)).toString()

/** Minimum size of all parts but the last, as in S3. */
const leastPart = 5 * 1024 ** 2

/** The contract of MediaStore. */
export const mediaStoreContract = (
  name: string,
  open: (t: Test) => Promise<MediaStoreUnderTest | undefined>,
): void => {
  const test = (what: string, run: (t: Test, under: MediaStoreUnderTest) => Promise<void>): void => {
    t.test(`${name}: ${what}`, async t => {
      const under = await open(t)
      if (under !== undefined) await run(t, under)
    })
  }

  test('objects are written, read, replaced, removed', async (t, { store }) => {
    await store.check()
    t.equal(await store.get('uploads/A/facts'), undefined)
    t.equal(await store.head('uploads/A/facts'), undefined)
    await store.put('uploads/A/facts', bytes('one'))
    await store.put('uploads/A/facts', bytes('two!'))
    t.equal(textOf(await store.get('uploads/A/facts')), 'two!')
    t.equal(await whole(store.read('uploads/A/facts')), 'two!')
    t.equal(await whole(store.read('uploads/A/facts', 2)), 'tw')
    const head = await store.head('uploads/A/facts')
    t.match(head, { key: 'uploads/A/facts', size: 4 })
    t.ok(Math.abs((head?.at ?? 0) - Date.now()) < 60_000, 'with the time that it was written')
    await store.put('uploads/A/empty', new Uint8Array())
    t.equal((await store.head('uploads/A/empty'))?.size, 0)
    await store.remove(['uploads/A/facts', 'uploads/A/nothing', 'uploads/A/empty'])
    t.equal(await store.get('uploads/A/facts'), undefined)
    await t.rejects(whole(store.read('uploads/A/facts')))
  })

  test('ids that differ in case only are different', async (t, { store }) => {
    await store.put('c/Tea/x', bytes('Tea'))
    await store.put('c/tea/x', bytes('tea'))
    t.equal(textOf(await store.get('c/Tea/x')), 'Tea')
    t.equal(textOf(await store.get('c/tea/x')), 'tea')
  })

  test('listings have a prefix, byte order, and no removed objects', async (t, { store }) => {
    const keys = [
      'c/a-b/0',
      'c/a/0',
      'c/a/1-x',
      'c/a/2-B',
      'c/a/2-a',
      'c/aa/0',
      'uploads/Z/sent/c/m',
      'uploads/Z/facts',
    ]
    for (const key of keys) await store.put(key, bytes(key))
    t.same(
      (await all(store.list('c/a/'))).map(({ key }) => key),
      ['c/a/0', 'c/a/1-x', 'c/a/2-B', 'c/a/2-a'],
    )
    t.same(
      (await all(store.list(''))).map(({ key }) => key),
      [...keys].sort(),
    )
    t.same(
      (await all(store.list('c/a/2-'))).map(({ key, size }) => [key, size]),
      [
        ['c/a/2-B', 7],
        ['c/a/2-a', 7],
      ],
    )
    t.same(await all(store.list('c/nothing/')), [])
    await store.remove(keys)
    t.same(await all(store.list('')), [])
  })

  test('copies are independent objects', async (t, { store }) => {
    await store.put('uploads/A/content', bytes('tea'))
    t.equal(await store.copy('uploads/A/content', 'c/x/0'), true)
    t.equal(await store.copy('uploads/A/content', 'c/x/0'), true, 'over an existing object')
    await store.put('uploads/A/content', bytes('coffee'))
    t.equal(textOf(await store.get('c/x/0')), 'tea')
    await store.remove(['uploads/A/content'])
    t.equal(textOf(await store.get('c/x/0')), 'tea')
    t.equal(await store.copy('uploads/A/content', 'c/y/0'), false, 'of a missing object')
    t.equal(await store.head('c/y/0'), undefined)
  })

  test('parts arrive in any order, repeatedly, and late', async (t, { store, put }) => {
    const key = 'uploads/A/content'
    const first = new Uint8Array(leastPart).fill(1)
    const last = bytes('the end')
    const upload = await store.beginUpload(key, 'text/plain')
    t.same(await store.parts(key, upload), [])
    const sign = async (part: number, body: Uint8Array) =>
      (await store.signPart(key, upload, part, body.length, 60_000)).url
    t.equal((await put(await sign(2, last), last)).status, 200)
    t.same(await store.parts(key, upload), [{ part: 2, size: 7 }])
    t.equal((await put(await sign(1, first.slice(1)), first.slice(1))).status, 200)
    t.equal((await put(await sign(1, first), first)).status, 200, 'the same part again')
    t.same(await store.parts(key, upload), [
      { part: 1, size: leastPart },
      { part: 2, size: 7 },
    ])
    t.equal(await store.head(key), undefined, 'nothing exists before completion')
    await store.finishUpload(key, upload)
    t.equal(await store.parts(key, upload), undefined)
    t.equal((await store.head(key))?.size, leastPart + 7)
    t.equal((await whole(store.read(key))).slice(leastPart), 'the end')
    const late = await put(await sign(1, first), first)
    t.not(late.status, 200, 'a part after completion is refused')
  })

  test('the URL of a part is valid for its number, size and time', async (t, { store, put }) => {
    const key = 'uploads/A/content'
    const upload = await store.beginUpload(key, 'text/plain')
    const { url } = await store.signPart(key, upload, 1, 3, 60_000)
    t.not((await put(url, bytes('longer'))).status, 200)
    t.not((await put(url, bytes('s'))).status, 200)
    const forged = url.includes('partNumber=1')
      ? url.replace('partNumber=1', 'partNumber=2')
      : url.replace(/grant=../, 'grant=AA')
    t.not((await put(forged, bytes('tea'))).status, 200)
    t.same(await store.parts(key, upload), [])
    t.equal((await put(url, bytes('tea'))).status, 200)
    const brief = await store.signPart(key, upload, 2, 3, 1_000)
    await new Promise(resolve => setTimeout(resolve, 2_100))
    t.equal((await put(brief.url, bytes('tea'))).status, 403)
    await store.abandonUpload(key, upload)
  })

  test('unfinished uploads are listed', async (t, { store }) => {
    const kept = await store.beginUpload('uploads/A/content', 'text/plain')
    const ended = await store.beginUpload('uploads/B/content', 'text/plain')
    await store.abandonUpload('uploads/B/content', ended)
    await store.abandonUpload('uploads/B/content', ended)
    const open = await all(store.openUploads())
    t.match(open, [{ key: 'uploads/A/content', upload: kept }])
    t.ok(Math.abs(open[0]!.at - Date.now()) < 60_000)
    t.equal(await store.parts('uploads/B/content', ended), undefined)
    t.equal(await store.parts('uploads/C/content', kept), undefined, 'an upload belongs to its key')
    await store.abandonUpload('uploads/A/content', kept)
  })

  test('downloads have name, type, ranges and an expiry', async (t, { store, get }) => {
    const key = 'c/tea/hash/0'
    await store.put(key, bytes('0123456789'))
    const as = { name: 'tee "grün".txt', type: 'text/plain', inline: false }
    const url = await store.signDownload(key, as, 60_000)
    const full = await get(url)
    t.equal(full.status, 200)
    t.equal(textOf(full.body), '0123456789')
    t.match(full.headers['content-type'], /^text\/plain/)
    t.match(
      full.headers['content-disposition'],
      /^attachment; filename="tee _gr_n_\.txt"; filename\*=UTF-8''tee%20%22gr%C3%BCn%22\.txt$/,
    )
    const part = await get(url, 'bytes=2-4')
    t.equal(part.status, 206)
    t.equal(textOf(part.body), '234')
    t.equal(part.headers['content-range'], 'bytes 2-4/10')
    t.equal(textOf((await get(url, 'bytes=7-')).body), '789')
    t.equal(textOf((await get(url, 'bytes=-2')).body), '89')
    const beyond = await get(url, 'bytes=10-')
    t.equal(beyond.status, 416)
    const brief = await store.signDownload(key, as, 1_000)
    await new Promise(resolve => setTimeout(resolve, 2_100))
    t.equal((await get(brief)).status, 403)
  })
}
