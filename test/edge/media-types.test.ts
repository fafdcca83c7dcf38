import t, { type Test } from 'tap'
import { startConfab } from '../harness/confab.ts'
import { noRates } from '../harness/no-rates.ts'
import { type Sample, samples } from '../harness/sample-files.ts'
import { described, httpOf, putParts, type UploadAnswer, upload } from '../harness/upload.ts'

const confab = await startConfab(t, { limits: noRates })
const alice = httpOf(confab, 'alice')
await alice.request('create', { c: 'tea', kind: 'group', members: [] })
let count = 0

/** Sends a sample under a name and type of a device. Returns what the log holds and what a download returns. */
const exchange = async (sample: Sample, type: string, name = `a.${sample}`) => {
  const file = await upload(confab, 'alice', samples[sample], { name, type })
  const sent = await alice.request('send', { c: 'tea', m: `m${++count}`, text: '', attachments: [file] })
  if (!sent.ok) throw new Error(JSON.stringify(sent))
  const page = await alice.request('history', { c: 'tea', limit: 1 })
  const [{ attachments }] = page.events as [{ attachments: [{ name: string; type: string }] }]
  const { body } = await alice.call(`/v1/conversations/tea/media/${file.mediaId}?redirect=false`)
  const answer = await fetch(new URL(body.url as string, confab.url))
  const bytes = Buffer.from(await answer.arrayBuffer())
  return { stored: attachments[0], headers: answer.headers, isIntact: bytes.equals(samples[sample]) }
}

const unknown = 'application/octet-stream'
const word = 'application/vnd.openxmlformats-officedocument.wordprocessingml.document'
const excel = 'application/vnd.openxmlformats-officedocument.spreadsheetml.sheet'
const powerpoint = 'application/vnd.openxmlformats-officedocument.presentationml.presentation'

/** Files that are shown in place, with the types that devices give them and the type that is stored and served. */
const shown: [sample: Sample, given: string, type: string][] = [
  ['png', 'image/png', 'image/png'],
  ['png', 'Image/PNG', 'image/png'],
  ['png', 'image/x-png', 'image/png'],
  ['png', 'image/apng', 'image/apng'],
  ['jpeg', 'image/jpeg', 'image/jpeg'],
  ['jpeg', 'image/jpg', 'image/jpeg'],
  ['jpeg', 'image/pjpeg', 'image/jpeg'],
  ['jpeg', 'IMAGE/JPG; q=1', 'image/jpeg'],
  ['gif', 'image/gif', 'image/gif'],
  ['webp', 'image/webp', 'image/webp'],
  ['avif', 'image/avif', 'image/avif'],
  ['avifOfGeneralBrand', 'image/avif', 'image/avif'],
  // Programs name pictures of other formats `.jpg`. Browsers detect the format.
  ['webp', 'image/jpeg', 'image/jpeg'],
  ['png', 'image/jpeg', 'image/jpeg'],
  ['mp3', 'audio/mpeg', 'audio/mpeg'],
  ['mp3WithCover', 'audio/mpeg', 'audio/mpeg'],
  ['mp3', 'audio/mp3', 'audio/mpeg'],
  ['mp3', 'audio/x-mpeg', 'audio/mpeg'],
  ['wav', 'audio/wav', 'audio/wav'],
  ['wav', 'audio/x-wav', 'audio/wav'],
  ['wav', 'audio/vnd.wave', 'audio/wav'],
  ['flac', 'audio/x-flac', 'audio/flac'],
  ['opus', 'audio/ogg; codecs=opus', 'audio/ogg'],
  ['opus', 'audio/opus', 'audio/opus'],
  ['vorbis', 'audio/ogg', 'audio/ogg'],
  ['theora', 'video/ogg', 'video/ogg'],
  ['aac', 'audio/aac', 'audio/aac'],
  ['aac', 'audio/vnd.dlna.adts', 'audio/aac'],
  ['m4a', 'audio/x-m4a', 'audio/mp4'],
  ['m4a', 'audio/mp4', 'audio/mp4'],
  ['mp4', 'audio/mp4', 'audio/mp4'],
  ['mp4', 'video/mp4', 'video/mp4'],
  ['m4v', 'video/x-m4v', 'video/mp4'],
  ['threeGp', 'video/mp4', 'video/mp4'],
  ['mov', 'video/quicktime', 'video/quicktime'],
  ['webm', 'video/webm;codecs=vp9,opus', 'video/webm'],
  ['webm', 'audio/webm;codecs=opus', 'audio/webm'],
]

/** Files that are downloads, and the type that is stored and served. */
const downloads: [sample: Sample, given: string, type?: string][] = [
  ['docx', word],
  ['encryptedDocx', word],
  ['xlsx', excel],
  ['pptx', powerpoint],
  ['doc', 'application/msword'],
  ['rtf', 'application/msword'],
  ['docx', 'application/msword'],
  ['html', 'application/msword'],
  ['xls', 'application/vnd.ms-excel'],
  ['csv', 'application/vnd.ms-excel'],
  ['html', 'application/vnd.ms-excel'],
  ['xlsx', 'application/vnd.ms-excel'],
  ['ppt', 'application/vnd.ms-powerpoint'],
  ['msg', 'application/vnd.ms-outlook'],
  ['csv', 'text/csv'],
  ['csvUtf16', 'text/csv'],
  ['csv', 'text/plain; charset=utf-8', 'text/plain'],
  ['csv', 'text/comma-separated-values'],
  ['rtf', 'text/rtf'],
  ['rtf', 'application/rtf'],
  ['pdf', 'application/pdf'],
  ['pdfAfterBom', 'application/pdf'],
  ['pdfAfterLineBreak', 'application/pdf'],
  ['pdf', 'application/x-pdf'],
  ['pdf', 'text/plain'],
  ['odt', 'application/vnd.oasis.opendocument.text'],
  ['ods', 'application/vnd.oasis.opendocument.spreadsheet'],
  ['epub', 'application/epub+zip'],
  ['apk', 'application/vnd.android.package-archive'],
  ['jar', 'application/java-archive'],
  ['zip', 'application/zip'],
  ['emptyZip', 'application/x-zip-compressed'],
  ['sevenZip', 'application/zip'],
  ['gzip', 'application/gzip'],
  ['gzip', 'application/x-tar'],
  ['tar', 'application/x-tar'],
  ['rar', 'application/vnd.rar'],
  ['sevenZip', 'application/x-7z-compressed'],
  ['heic', 'image/heic'],
  ['heic', 'image/heif'],
  ['jpeg', 'image/heic'],
  ['tiff', 'image/tiff'],
  ['bmp', 'image/bmp'],
  ['ico', 'image/x-icon'],
  ['psd', 'image/vnd.adobe.photoshop'],
  ['dwg', 'image/vnd.dwg'],
  ['mkv', 'video/x-matroska'],
  ['avi', 'video/x-msvideo'],
  ['threeGp', 'audio/3gpp'],
  ['midi', 'audio/midi'],
  ['amr', 'audio/amr'],
  ['playlist', 'audio/x-mpegurl'],
  ['typescript', 'video/mp2t'],
  ['typescript', 'video/vnd.dlna.mpeg-tts'],
  ['textLatin1', 'text/plain'],
  ['textShiftJis', 'text/plain'],
  ['textBom', 'text/plain'],
  ['markdown', 'text/markdown'],
  ['json', 'application/json'],
  ['ics', 'text/calendar'],
  ['vcf', 'text/vcard'],
  ['vcf', 'text/x-vcard'],
  ['eml', 'message/rfc822'],
  ['woff2', 'font/woff2'],
  ['ttf', 'font/ttf'],
  ['sqlite', 'application/vnd.sqlite3'],
  ['parquet', 'application/vnd.apache.parquet'],
  ['wasm', 'application/wasm'],
  ['exe', 'application/vnd.microsoft.portable-executable'],
  ['gltf', 'model/gltf-binary'],
  ['noBytesOfMeaning', 'application/x-unheard-of'],
  ['png', unknown],
  ['html', '', unknown],
  ['jpeg', 'image/*', unknown],
  ['csv', '*/*', unknown],
]

/** Files that a browser would execute. It receives them as unknown bytes. */
const active: [sample: Sample, given: string, stored: string][] = [
  ['html', 'text/html', 'text/html'],
  ['html', 'Text/HTML; charset=utf-8', 'text/html'],
  ['html', 'application/xhtml+xml', 'application/xhtml+xml'],
  ['svg', 'image/svg+xml', 'image/svg+xml'],
  ['xml', 'text/xml', 'text/xml'],
  ['xml', 'application/xml', 'application/xml'],
  ['xml', 'application/rss+xml', 'application/rss+xml'],
  ['xml', 'text/xsl', 'text/xsl'],
  ['script', 'text/javascript', 'text/javascript'],
  ['script', 'application/javascript', 'application/javascript'],
  ['script', 'application/x-javascript', 'application/x-javascript'],
  ['script', 'text/javascript1.5', 'text/javascript1.5'],
  ['script', 'text/css', 'text/css'],
  ['html', 'multipart/x-mixed-replace', 'multipart/x-mixed-replace'],
]

const check = async (
  t: Test,
  [sample, given]: readonly [Sample, string, ...unknown[]],
  stored: string,
  served: string,
  disposition: 'inline' | 'attachment',
) => {
  const what = `${sample} as ${given}`
  const found = await exchange(sample, given)
  t.equal(found.stored.type, stored, what)
  t.equal(found.headers.get('content-type'), served, what)
  t.equal(found.headers.get('content-disposition')?.split(';')[0], disposition, what)
  t.equal(found.headers.get('x-content-type-options'), 'nosniff', what)
  t.equal(found.headers.get('content-security-policy'), "sandbox; default-src 'none'", what)
  t.ok(found.isIntact, what)
}

t.test('pictures and recordings are shown under their proper type', async t => {
  for (const row of shown) await check(t, row, row[2], row[2], 'inline')
})

t.test('all other files are accepted under any type, and are downloads', async t => {
  for (const row of downloads) {
    const type = row[2] ?? row[1]
    await check(t, row, type, type, 'attachment')
  }
})

t.test('a browser receives nothing that it would execute', async t => {
  for (const row of active) await check(t, row, row[2], unknown, 'attachment')
})

t.test('names are stored, returned and served in normal form', async t => {
  const names: [given: string, name: string, header: string][] = [
    ['\u200eתה.jpg\u200f', 'תה.jpg', 'filename="__.jpg"; filename*=UTF-8\'\'%D7%AA%D7%94.jpg'],
    ['C:\\fakepath\\gru\u0308n.jpg. ', 'grün.jpg', 'filename="gr_n.jpg"; filename*=UTF-8\'\'gr%C3%BCn.jpg'],
    [
      `${'茶'.repeat(300)}.jpg`,
      `${'茶'.repeat(251)}.jpg`,
      `filename="${'_'.repeat(251)}.jpg"; filename*=UTF-8''${'%E8%8C%B6'.repeat(251)}.jpg`,
    ],
  ]
  for (const [given, name, header] of names) {
    const { stored, headers } = await exchange('jpeg', 'image/jpeg', given)
    t.equal(stored.name, name)
    t.match(await alice.request('media', described(samples.jpeg, { name: given, type: 'image/jpg' })), {
      name,
      type: 'image/jpeg',
    })
    t.equal(headers.get('content-disposition'), `inline; ${header}`)
  }
})

t.test('names that can deceive are refused, in media and in send', async t => {
  const file = await upload(confab, 'alice', samples.png)
  for (const name of [
    'gnp\u202e.exe',
    '\u2067a.png',
    'a/b.png',
    'C:\\a.png',
    'a\0.png',
    'a\nb.png',
    '\u200e',
  ]) {
    const bad = { code: 'BAD_REQUEST', field: '/name' }
    t.match(await alice.request('media', { ...described(samples.png), name }), { ok: false, error: bad })
    const attachments = [{ ...file, name }]
    t.match(await alice.request('send', { c: 'tea', m: 'x', text: '', attachments }), {
      ok: false,
      error: { ...bad, field: '/attachments/0/name' },
    })
  }
})

t.test(
  'an upload that an earlier version began under another name of a type needs the same proof',
  async t => {
    const fields = described(samples.html, { name: 'a', type: 'audio/wav' })
    const answer = (await alice.request('media', fields)) as unknown as UploadAnswer
    const key = `uploads/${answer.mediaId}/facts`
    const facts = JSON.parse(new TextDecoder().decode(await confab.media.store.get(key))) as object
    await confab.media.store.put(
      key,
      new TextEncoder().encode(JSON.stringify({ ...facts, type: 'audio/x-wav' })),
    )
    await putParts(confab, answer, samples.html)
    t.match(await alice.complete(answer.mediaId), { status: 422, body: { error: { field: '/type' } } })
  },
)

t.test('media of earlier versions stays valid, under its present name and type', async t => {
  const { store } = confab.media
  const file = await upload(confab, 'alice', samples.wav, { name: 'grün.wav', type: 'audio/wav' })
  const old = { name: 'gru\u0308n.wav', type: 'audio/x-wav' }
  const rewrite = async (key: string) => {
    const stored = JSON.parse(new TextDecoder().decode(await store.get(key))) as object
    await store.put(key, new TextEncoder().encode(JSON.stringify({ ...stored, ...old })))
  }
  await rewrite(`uploads/${file.mediaId}/facts`)
  const send = (m: string) =>
    alice.request('send', { c: 'tea', m, text: '', attachments: [{ ...file, ...old }] })
  t.match(await send('old1'), { ok: true })
  await rewrite(`c/tea/${file.sha256}/2-${file.mediaId}`)
  await store.remove([`uploads/${file.mediaId}/facts`])
  t.match(await send('old2'), { ok: true }, 'also after the sweep has removed the upload')
  const { body } = await alice.call(`/v1/conversations/tea/media/${file.mediaId}?redirect=false`)
  const { headers } = await fetch(new URL(body.url as string, confab.url))
  t.equal(headers.get('content-type'), 'audio/wav')
  t.equal(headers.get('content-disposition'), 'inline; filename="gr_n.wav"; filename*=UTF-8\'\'gr%C3%BCn.wav')
})

/** Contents that are neither pictures nor recordings that browsers show. */
const others: Sample[] = [
  'pdf',
  'pdfAfterBom',
  'html',
  'htmlUtf16',
  'svg',
  'xml',
  'script',
  'csv',
  'csvUtf16',
  'textBom',
  'zip',
  'docx',
  'apk',
  'doc',
  'gzip',
  'exe',
  'sqlite',
  'noBytesOfMeaning',
]

t.test('a type that is shown needs its proof', async t => {
  const refused = async (sample: Sample, type: string) => {
    const fields = described(samples[sample], { name: 'a', type })
    const answer = (await alice.request('media', fields)) as unknown as UploadAnswer
    await putParts(confab, answer, samples[sample])
    t.match(
      await alice.complete(answer.mediaId),
      { status: 422, body: { error: { code: 'MEDIA_MISMATCH', field: '/type' } } },
      `${sample} as ${type}`,
    )
    t.match(await alice.call(`/v1/media/${answer.mediaId}`), { status: 404 }, 'the upload is removed')
  }
  const pictures = ['image/png', 'image/jpg', 'image/gif', 'image/webp', 'image/avif', 'IMAGE/PNG; a=b']
  const recordings = ['audio/mpeg', 'audio/x-wav', 'audio/ogg', 'video/mp4', 'video/x-m4v', 'video/webm']
  for (const sample of others) for (const type of [...pictures, ...recordings]) await refused(sample, type)
  for (const sample of ['heic', 'tiff', 'psd', 'bmp', 'mp4', 'mp3'] as const)
    await refused(sample, 'image/png')
  for (const sample of ['png', 'jpeg', 'avif', 'heic'] as const) await refused(sample, 'video/mp4')
})
