import t, { type Test } from 'tap'
import type { MediaLimits, MediaStore } from '../../src/media/index.ts'
import { startConfab, type TestConfab } from '../harness/confab.ts'
import { described, httpOf, png, putParts, type UploadAnswer, upload } from '../harness/upload.ts'

const MiB = 1024 ** 2

/** Opens a store of this kind; undefined if it is not available. */
type Open = (t: Test) => Promise<MediaStore | undefined>

/** Media end to end, over WebSocket and HTTP, with any kind of store. */
export const mediaTests = (name: string, open: Open): void => {
  const test = (
    what: string,
    run: (t: Test, confab: TestConfab) => Promise<void>,
    mediaLimits: Partial<MediaLimits> = {},
  ): void => {
    t.test(`${name}: ${what}`, async t => {
      const mediaStore = await open(t)
      if (mediaStore === undefined) return
      const confab = await startConfab(t, { mediaStore, mediaLimits })
      const alice = await confab.connect('alice')
      await alice.ok('create', { c: 'tea', kind: 'group', members: ['bob'] })
      await run(t, confab)
    })
  }

  const download = async (confab: TestConfab, user: string, c: string, mediaId: string) => {
    const answer = await httpOf(confab, user).call(`/v1/conversations/${c}/media/${mediaId}`)
    return { ...answer, location: answer.headers.get('location') }
  }

  test('an upload is sent, and fetched by members only', async (t, confab) => {
    const bytes = png('x'.repeat(100_000))
    const alice = await confab.connect('alice')
    const bob = await confab.connect('bob')
    const fields = described(bytes, { name: 'grüne Kanne.png' })
    const answer = (await alice.ok('media', fields)) as unknown as UploadAnswer
    t.match(answer, { parts: [{ method: 'PUT', range: [0, bytes.length] }], missing: 1, verified: false })
    const attachments = [{ mediaId: answer.mediaId, ...fields }]
    t.equal(await alice.code('send', { c: 'tea', m: 'm1', text: '', attachments }), 'MEDIA_INCOMPLETE')
    t.same(await putParts(confab, answer, bytes), [200])
    t.equal(await alice.code('send', { c: 'tea', m: 'm1', text: '', attachments }), 'MEDIA_INCOMPLETE')
    t.match(await httpOf(confab, 'alice').complete(answer.mediaId), { status: 200, body: { verified: true } })
    t.match(
      await httpOf(confab, 'alice').complete(answer.mediaId),
      { status: 200 },
      'the same, when repeated',
    )
    t.match(await alice.ok('send', { c: 'tea', m: 'm1', text: '', attachments }), {
      seq: 2,
      duplicate: false,
    })
    t.match(await alice.ok('send', { c: 'tea', m: 'm1', text: '', attachments }), { seq: 2, duplicate: true })
    t.match(await bob.event('tea', 2), { attachments })

    const got = await download(confab, 'bob', 'tea', answer.mediaId)
    t.equal(got.status, 302)
    const file = await fetch(new URL(got.location!, confab.url))
    t.ok(Buffer.from(await file.arrayBuffer()).equals(bytes))
    t.equal(file.headers.get('content-type'), 'image/png')
    t.match(file.headers.get('content-disposition'), /^inline; .*filename\*=UTF-8''gr%C3%BCne%20Kanne\.png$/)
    const part = await fetch(new URL(got.location!, confab.url), { headers: { range: 'bytes=1-3' } })
    t.equal(part.status, 206)
    t.equal(await part.text(), 'PNG')
    const asked = await httpOf(confab, 'bob').call(
      `/v1/conversations/tea/media/${answer.mediaId}?redirect=false`,
    )
    t.match(asked, { status: 200, body: { url: String, lifeMs: 300_000 } })
    const direct = await fetch(new URL(asked.body.url as string, confab.url))
    t.ok(Buffer.from(await direct.arrayBuffer()).equals(bytes))

    const none = { status: 404, body: { ok: false, error: { code: 'NOT_FOUND' } } }
    const stranger = await download(confab, 'mallory', 'tea', answer.mediaId)
    t.match(stranger, none)
    const nothing = await download(confab, 'mallory', 'nowhere', answer.mediaId)
    t.same(stranger.body, nothing.body, 'a stranger cannot distinguish it from a missing conversation')
    const other = await upload(confab, 'alice', png('other'))
    t.match(await download(confab, 'bob', 'tea', other.mediaId), none, 'an unsent medium does not exist')
    await alice.ok('remove', { c: 'tea', user: 'bob' })
    t.match(await download(confab, 'bob', 'tea', answer.mediaId), none, 'nor does any for a former member')
    t.equal((await fetch(new URL(`/v1/conversations/tea/media/${answer.mediaId}`, confab.url))).status, 401)
  })

  test(
    'only an upload that matches its announcement may be sent',
    async (t, confab) => {
      const alice = httpOf(confab, 'alice')
      const announce = async (fields: object) =>
        (await alice.request('media', { ...fields })) as unknown as UploadAnswer
      const bytes = png('tea')
      const expectDropped = async (fields: ReturnType<typeof described>, body: Uint8Array, field: string) => {
        const answer = await announce(fields)
        t.same(await putParts(confab, answer, body), [200])
        t.match(await alice.complete(answer.mediaId), {
          status: 422,
          body: { error: { code: 'MEDIA_MISMATCH', field } },
        })
        t.match(await alice.complete(answer.mediaId), { status: 404 })
      }
      await expectDropped({ ...described(bytes), sha256: '0'.repeat(64) }, bytes, '/sha256')
      await expectDropped(
        described(Buffer.from('no picture at all')),
        Buffer.from('no picture at all'),
        '/type',
      )
      const pdf = Buffer.from('%PDF-1.7')
      await expectDropped(described(pdf), pdf, '/type')
      await expectDropped(described(bytes, { name: 'a.mp3', type: 'audio/mpeg' }), bytes, '/type')

      const tooLong = await announce({ ...described(bytes), size: bytes.length + 1 })
      t.not((await putParts(confab, tooLong, bytes))[0], 200, 'a part of another size is refused')
      t.match(await alice.complete(tooLong.mediaId), {
        status: 409,
        body: { error: { code: 'MEDIA_INCOMPLETE' } },
      })

      const refused = async (fields: object, code: string, field: string) =>
        t.match(await alice.request('media', { ...described(bytes), ...fields }), {
          ok: false,
          error: { code, field },
        })
      await refused({ size: 0 }, 'BAD_REQUEST', '/size')
      await refused({ size: 3 * MiB }, 'TOO_LARGE', '/size')
      await refused({ sha256: 'X'.repeat(64) }, 'BAD_REQUEST', '/sha256')
      await refused({ type: 'image' }, 'BAD_REQUEST', '/type')
      await refused({ type: 'image/p ng' }, 'BAD_REQUEST', '/type')
      await refused({ mediaId: 'x' }, 'NOT_FOUND', '/mediaId')
      for (const bad of [
        '../../etc/passwd',
        'a/b.png',
        'a\\b.png',
        '..',
        '.',
        ' ',
        'a\0.png',
        'a\nb',
        'gnp\u202e.exe',
      ])
        await refused({ name: bad }, 'BAD_REQUEST', '/name')

      const good = await upload(confab, 'alice', bytes)
      const code = async (attachment: object) => {
        const answer = await alice.request('send', {
          c: 'tea',
          m: 'm1',
          text: '',
          attachments: [{ ...good, ...attachment }],
        })
        return answer.ok ? 'ok' : `${answer.error?.code} ${answer.error?.field}`
      }
      t.equal(await code({ name: 'b.png' }), 'MEDIA_MISMATCH /attachments/0/name')
      t.equal(await code({ type: 'image/gif' }), 'MEDIA_MISMATCH /attachments/0/type')
      t.equal(await code({ size: 1 }), 'MEDIA_MISMATCH /attachments/0/size')
      t.equal(await code({ sha256: '1'.repeat(64) }), 'MEDIA_MISMATCH /attachments/0/sha256')
      t.equal(await code({ mediaId: 'A'.repeat(64) }), 'NOT_FOUND /attachments/0/mediaId')
      t.equal(await code({ mediaId: 'x' }), 'NOT_FOUND /attachments/0/mediaId')
      const bob = httpOf(confab, 'bob')
      t.match(
        await bob.request('send', { c: 'tea', m: 'b1', text: '', attachments: [good] }),
        { ok: false, error: { code: 'NOT_FOUND', field: '/attachments/0/mediaId' } },
        'another user’s upload is not visible',
      )
      t.match(await bob.complete(good.mediaId), { status: 404 })
      t.match(await bob.call(`/v1/media/${good.mediaId}`), { status: 404 })
      t.match(await bob.request('media', { ...described(bytes), mediaId: good.mediaId }), {
        error: { code: 'NOT_FOUND' },
      })
      t.equal(await code({}), 'ok')
      const mallory = httpOf(confab, 'mallory')
      const theirs = await upload(confab, 'mallory', bytes)
      t.match(
        await mallory.request('send', { c: 'tea', m: 'x', text: '', attachments: [theirs] }),
        { error: { code: 'NOT_FOUND' } },
        'a stranger to the conversation adds nothing to it',
      )
      t.match(await mallory.request('media', { ...described(bytes), c: 'tea' }), {
        error: { code: 'NOT_FOUND' },
      })
    },
    { maxBytes: 2 * MiB },
  )

  test('parts in any order, interrupted, continued', async (t, confab) => {
    const bytes = Buffer.concat([png(), Buffer.alloc(17 * MiB, 'tea ')])
    const fields = described(bytes)
    const alice = httpOf(confab, 'alice')
    const first = (await alice.request('media', fields)) as unknown as UploadAnswer
    t.same(
      first.parts.map(({ range }) => range),
      [
        [0, 8 * MiB],
        [8 * MiB, 16 * MiB],
        [16 * MiB, bytes.length],
      ],
    )
    await putParts(confab, { ...first, parts: [first.parts[2]!] }, bytes)
    t.match(await alice.complete(first.mediaId), {
      status: 409,
      body: { error: { code: 'MEDIA_INCOMPLETE' } },
    })
    const state = await alice.call(`/v1/media/${first.mediaId}`)
    t.match(state, { status: 200, body: { missing: 2, verified: false } })
    const again = (await alice.request('media', {
      ...fields,
      mediaId: first.mediaId,
    })) as unknown as UploadAnswer
    t.equal(again.mediaId, first.mediaId)
    t.same(
      again.parts.map(({ range }) => range[0]),
      [0, 8 * MiB],
    )
    await putParts(confab, { ...again, parts: again.parts.reverse() }, bytes)
    t.match(await alice.complete(first.mediaId), { status: 200 })
    t.match(await alice.request('media', { ...fields, mediaId: first.mediaId }), {
      parts: [],
      verified: true,
    })
    t.match(
      await alice.request('media', { ...fields, name: 'b.png', mediaId: first.mediaId }),
      { error: { code: 'MEDIA_MISMATCH', field: '/name' } },
      'an upload continues with its announcement',
    )
  })

  test('a conversation stores the same content once', async (t, confab) => {
    const { store } = confab.media
    const bytes = png('the same')
    const contents = async () => {
      const keys: string[] = []
      for await (const { key } of store.list('c/')) if (key.endsWith('/0')) keys.push(key)
      return keys.length
    }
    const alice = httpOf(confab, 'alice')
    const bob = httpOf(confab, 'bob')
    const one = await upload(confab, 'alice', bytes)
    t.match(await alice.request('send', { c: 'tea', m: 'm1', text: '', attachments: [one] }), { ok: true })
    const two = await upload(confab, 'bob', bytes, { name: 'b.png' })
    t.match(await bob.request('send', { c: 'tea', m: 'm2', text: '', attachments: [two] }), { ok: true })
    t.equal(await contents(), 1)
    const fields = described(bytes, { name: 'c.png' })
    const known = (await bob.request('media', { ...fields, c: 'tea' })) as unknown as UploadAnswer
    t.match(known, { parts: [], missing: 0, verified: true }, 'existing content needs no upload')
    const three = { mediaId: known.mediaId, ...fields }
    t.match(await bob.request('send', { c: 'tea', m: 'm3', text: '', attachments: [three] }), { ok: true })
    t.equal(await contents(), 1)
    for (const { mediaId, name } of [one, two, three]) {
      const { location } = await download(confab, 'alice', 'tea', mediaId)
      const file = await fetch(new URL(location!, confab.url))
      t.match(file.headers.get('content-disposition'), name)
      t.ok(Buffer.from(await file.arrayBuffer()).equals(bytes))
    }
    t.match(
      await bob.request('media', { ...described(bytes, { type: 'audio/mpeg' }), c: 'tea' }),
      { missing: 1, verified: false },
      'with a type that it cannot have it is unknown',
    )
    await alice.request('create', { c: 'coffee', kind: 'group', members: ['bob'] })
    t.match(await bob.request('media', { ...fields, c: 'coffee' }), { missing: 1 }, 'also elsewhere')
    t.match(
      await bob.request('send', { c: 'coffee', m: 'm4', text: '', attachments: [three] }),
      { error: { code: 'NOT_FOUND' } },
      'content that was not uploaded is not shared with other conversations',
    )
    t.match(await alice.request('send', { c: 'coffee', m: 'm5', text: '', attachments: [one] }), { ok: true })
    t.equal(await contents(), 2)
  })

  test(
    'media that the log names stay; all others are removed',
    async (t, confab) => {
      const { store } = confab.media
      const alice = httpOf(confab, 'alice')
      const uploads = async () => {
        let count = 0
        for await (const _ of store.list('uploads/')) count++
        for await (const _ of store.openUploads()) count++
        return count
      }
      const sent = await upload(confab, 'alice', png('sent'))
      t.match(await alice.request('send', { c: 'tea', m: 'm1', text: '', attachments: [sent] }), { ok: true })
      // As when a process dies in between: the conversation has the medium, the log has no message.
      const lost = await upload(confab, 'alice', png('lost'))
      await confab.media.take('tea', 'm2', 'alice', [lost])
      t.equal((await download(confab, 'bob', 'tea', lost.mediaId)).status, 302)
      // The message with this id carries another attachment.
      const other = await upload(confab, 'alice', png('other'))
      await confab.media.take('tea', 'm1', 'alice', [other])
      await upload(confab, 'alice', png('never sent'))
      const half = (await alice.request('media', described(png('half')))) as unknown as UploadAnswer
      while ((await uploads()) > 0) await new Promise(resolve => setTimeout(resolve, 50))
      t.equal((await download(confab, 'bob', 'tea', sent.mediaId)).status, 302)
      t.equal((await download(confab, 'bob', 'tea', lost.mediaId)).status, 404)
      t.equal((await download(confab, 'bob', 'tea', other.mediaId)).status, 404)
      t.match(await alice.complete(half.mediaId), { status: 404 })
      t.not((await putParts(confab, half, png('half')))[0], 200)
      t.match(await alice.request('send', { c: 'tea', m: 'm1', text: '', attachments: [sent] }), {
        seq: 2,
        duplicate: true,
      })
    },
    { keepMs: 1_500, sweepEveryMs: 200 },
  )

  test('a repeated send is a duplicate, whatever happened to its sender', async (t, confab) => {
    const alice = httpOf(confab, 'alice')
    const bob = httpOf(confab, 'bob')
    const file = await upload(confab, 'bob', png())
    const send = { c: 'tea', m: 'm1', text: '', attachments: [file] }
    const first = await bob.request('send', send)
    t.match(first, { ok: true, seq: 2, duplicate: false })
    const again = { ok: true, seq: 2, at: first.at as string, duplicate: true }
    t.match(await bob.request('send', { ...send, attachments: [{ ...file, name: 'other.png' }] }), again)
    await alice.request('remove', { c: 'tea', user: 'bob' })
    t.match(await bob.request('send', send), again)
    t.match(await bob.request('send', { ...send, m: 'm2' }), { ok: false, error: { code: 'NOT_FOUND' } })
    t.match(await alice.request('send', send), { ok: false, error: { code: 'NOT_FOUND' } })
  })
}
