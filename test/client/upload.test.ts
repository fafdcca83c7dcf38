import { createHash, randomBytes } from 'node:crypto'
import fc from 'fast-check'
import t from 'tap'
import { createHttp } from '../../src/client/http.ts'
import { createClient, RequestError, type UploadProgress } from '../../src/client/index.ts'
import { Sha256 } from '../../src/client/sha256.ts'
import { sendPart, uploadFile } from '../../src/client/upload.ts'
import { startConfab } from '../harness/confab.ts'
import { samples } from '../harness/sample-files.ts'
import { png } from '../harness/upload.ts'

const MiB = 1024 ** 2
const confab = await startConfab(t, { mediaLimits: { maxBytes: 64 * MiB } })

const connect = async (user: string) => {
  const client = createClient({
    url: `${confab.url.replace('http', 'ws')}/v1/ws`,
    token: () => confab.token(user),
    backoffMs: 5,
  })
  t.teardown(() => client.close())
  await client.connect()
  return client
}

t.test('the hash is SHA-256 for any pieces', async t => {
  const expected = (data: Uint8Array) => createHash('sha256').update(data).digest('hex')
  for (const length of [0, 1, 55, 56, 63, 64, 65, 119, 120, 128, 1000])
    t.equal(
      new Sha256().update(new Uint8Array(length).fill(7)).digest(),
      expected(new Uint8Array(length).fill(7)),
    )
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 8 }), pieces => {
      const sha = new Sha256()
      for (const piece of pieces) sha.update(piece)
      return sha.digest() === expected(Buffer.concat(pieces))
    }),
  )
})

t.test('a file is uploaded, sent, and fetched', async t => {
  const alice = await connect('alice')
  const bob = await connect('bob')
  await alice.request('create', { c: 'tea', kind: 'group', members: ['bob'] })
  const bytes = Buffer.concat([png(), randomBytes(20 * MiB)])
  const progress: UploadProgress[] = []
  const attachment = await alice.upload(new File([bytes], 'Kanne.png', { type: 'image/png' }), {
    c: 'tea',
    onProgress: each => progress.push(each),
  })
  t.match(attachment, { name: 'Kanne.png', type: 'image/png', size: bytes.length })
  t.same([...new Set(progress.map(({ phase }) => phase))], ['hashing', 'sending', 'verifying'])
  const sending = progress.filter(({ phase }) => phase === 'sending').map(({ done }) => done)
  t.same(
    sending,
    [...sending].sort((a, b) => a - b),
    'it only grows',
  )
  t.equal(sending.at(-1), bytes.length)

  const events = bob.events({ c: 'tea' })
  await alice.send('tea', '', { attachments: [attachment] })
  for await (const event of events) {
    t.match(event, { type: 'message.posted', attachments: [attachment] })
    break
  }
  const { url, lifeMs } = await bob.mediaUrl('tea', attachment.mediaId)
  t.ok(lifeMs > 0)
  t.ok(Buffer.from(await (await fetch(url)).arrayBuffer()).equals(bytes))
  const mallory = await connect('mallory')
  await t.rejects(mallory.mediaUrl('tea', attachment.mediaId), { code: 'NOT_FOUND' })

  const again: UploadProgress[] = []
  await bob.upload(new File([bytes], 'b.png', { type: 'image/png' }), {
    c: 'tea',
    onProgress: each => again.push(each),
  })
  t.notOk(
    again.some(({ phase }) => phase === 'sending'),
    'what the conversation has is not sent again',
  )
})

t.test('failed parts are repeated; an aborted upload continues', async t => {
  const alice = await connect('alice')
  const http = createHttp({ url: confab.url, token: () => confab.token('alice') })
  const announce: Parameters<typeof uploadFile>[1]['announce'] = fields => alice.request('media', fields)
  const file = new File([new Uint8Array(png()), new Uint8Array(randomBytes(30 * MiB))], 'a.png', {
    type: 'image/png',
  })
  let sent = 0
  const lossy: typeof sendPart = async (target, body, onSent, signal) => {
    sent++
    // Every other part, or its answer, is lost.
    if (sent % 4 === 1) return false
    const taken = await sendPart(target, body, onSent, signal)
    return sent % 4 === 3 ? false : taken
  }
  t.match(await uploadFile(file, { http, announce, sendPart: lossy }), { size: file.size })
  t.ok(sent > 4)

  const controller = new AbortController()
  let mediaId: string | undefined
  const stopping: typeof sendPart = async (target, body, onSent, signal) => {
    const taken = await sendPart(target, body, onSent, signal)
    controller.abort()
    return taken
  }
  const { signal } = controller
  const onBegun = (id: string) => {
    mediaId = id
  }
  await t.rejects(uploadFile(file, { http, announce, sendPart: stopping }, { signal, onBegun }), {
    name: 'AbortError',
  })
  let rest = 0
  const counting: typeof sendPart = (...args) => {
    rest++
    return sendPart(...args)
  }
  const done = await uploadFile(file, { http, announce, sendPart: counting }, { mediaId: mediaId! })
  t.equal(done.mediaId, mediaId)
  t.ok(rest < 4, `${rest} of 4 parts were left to send`)
})

t.test('refusals of the server are reported', async t => {
  const alice = await connect('alice')
  const refused = async (file: File, code: string) => {
    const error = await alice.upload(file).then(
      () => undefined,
      (error: unknown) => error,
    )
    t.ok(RequestError.is(error))
    t.match(error, { code })
  }
  await refused(new File(['no picture'], 'a.png', { type: 'image/png' }), 'MEDIA_MISMATCH')
  await refused(new File([], 'a.png', { type: 'image/png' }), 'BAD_REQUEST')
  await refused(new File(['x'], 'a/b', { type: 'text/plain' }), 'BAD_REQUEST')
  await refused(new File([new Uint8Array(65 * MiB)], 'a', { type: 'text/plain' }), 'TOO_LARGE')
  t.match(await alice.upload(new File(['x'], 'a')), { type: 'application/octet-stream' })
  t.match(await alice.upload(new File(['x'], '')), { name: 'file' })
  // The attachment is described as the server describes it in the message.
  const photo = new File([new Uint8Array(samples.jpeg)], 'gru\u0308n.jpg', { type: 'image/jpg' })
  t.match(await alice.upload(photo), { name: 'grün.jpg', type: 'image/jpeg' })
})
