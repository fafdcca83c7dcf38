import { createHash } from 'node:crypto'
import t, { type Test } from 'tap'
import type { Attachment } from '../../src/events/index.ts'
import { Media, type MediaStore, sweepMedia } from '../../src/media/index.ts'
import { uploadFolder } from '../../src/media/media-binding.ts'
import type { MediaStoreUnderTest } from './media-store.ts'

const day = 86_400_000

/** The contract of sweeping on any store: what is removed, and what never is. */
export const mediaSweepContract = (
  name: string,
  open: (t: Test) => Promise<MediaStoreUnderTest | undefined>,
): void => {
  const test = (what: string, run: (t: Test, under: Under) => Promise<void>): void => {
    t.test(`${name}: ${what}`, async t => {
      const under = await open(t)
      if (under !== undefined) await run(t, using(under))
    })
  }

  test('unsent uploads are removed when they are old, and not before', async (t, {
    upload,
    sweep,
    keys,
    media,
  }) => {
    await upload('never sent')
    const { mediaId } = await upload('half', { complete: false })
    t.same(await sweep({ after: day / 2 }), { abandoned: 0, uploads: 0, unsent: 0 })
    t.equal((await media.upload('alice', mediaId)).missing, 0)
    t.same(await sweep({ after: 2 * day }), { abandoned: 1, uploads: 2, unsent: 0 })
    t.same(await keys(), [])
    await t.rejects(media.upload('alice', mediaId), { code: 'NOT_FOUND' })
    t.same(await sweep({ after: 2 * day }), { abandoned: 0, uploads: 0, unsent: 0 })
  })

  test('sent media stay, without the leftovers of their upload', async (t, {
    upload,
    sweep,
    keys,
    media,
  }) => {
    const sent = await upload('sent')
    await media.take('tea', 'm1', 'alice', [sent])
    await media.take('coffee', 'm2', 'alice', [sent])
    t.same(await sweep({ after: 2 * day, sent: ['tea m1', 'coffee m2'] }), {
      abandoned: 0,
      uploads: 1,
      unsent: 0,
    })
    t.same(
      (await keys()).map(key => key.split('/').slice(0, 2).join('/')),
      ['c/coffee', 'c/coffee', 'c/tea', 'c/tea'],
    )
    await media.download('tea', sent.mediaId)
    await media.take('tea', 'm1', 'alice', [sent])
    t.pass('a repeated send finds it')
    await t.rejects(media.take('tea', 'm1', 'bob', [sent]), { code: 'NOT_FOUND' })
    await t.rejects(media.take('tea', 'm1', 'alice', [{ ...sent, name: 'b' }]), { code: 'MEDIA_MISMATCH' })
    await t.rejects(media.take('milk', 'm3', 'alice', [sent]), { code: 'NOT_FOUND' }, 'its upload is gone')
  })

  test('media of a message that was never appended are removed', async (t, {
    upload,
    sweep,
    keys,
    media,
  }) => {
    const lost = await upload('lost')
    await media.take('tea', 'm1', 'alice', [lost])
    t.same(await sweep({ after: 2 * day }), { abandoned: 0, uploads: 1, unsent: 1 })
    t.same(await keys(), [])
    await t.rejects(media.download('tea', lost.mediaId), { code: 'NOT_FOUND' })
  })

  test('content of another message stays', async (t, { upload, sweep, media }) => {
    const lost = await upload('the same')
    const sent = await upload('the same')
    await media.take('tea', 'm1', 'alice', [lost])
    await media.take('tea', 'm2', 'alice', [sent])
    t.same(await sweep({ after: 2 * day, sent: ['tea m2'] }), { abandoned: 0, uploads: 2, unsent: 1 })
    await t.rejects(media.download('tea', lost.mediaId), { code: 'NOT_FOUND' })
    const known = await media.announce('bob', { ...sent, mediaId: undefined, c: 'tea' })
    t.ok(known.verified)
  })

  test('one appended message of several attempts is sufficient', async (t, { upload, sweep, media }) => {
    const sent = await upload('again')
    for (const m of ['a', 'b', 'c']) await media.take('tea', m, 'alice', [sent])
    t.same(await sweep({ after: 2 * day, sent: ['tea b'] }), { abandoned: 0, uploads: 1, unsent: 0 })
    await media.download('tea', sent.mediaId)
  })

  test('two concurrent sweeps have the effect of one', async (t, { upload, sweep, keys, media }) => {
    const sent = await upload('sent')
    await media.take('tea', 'm1', 'alice', [sent])
    const lost = await upload('lost')
    await media.take('tea', 'm2', 'alice', [lost])
    await upload('never sent')
    const options = { after: 2 * day, sent: ['tea m1'] }
    await Promise.all([sweep(options), sweep(options), sweep(options)])
    await sweep(options)
    t.equal((await keys()).length, 2, 'the sent content and its binding remain')
    await media.download('tea', sent.mediaId)
    await t.rejects(media.download('tea', lost.mediaId), { code: 'NOT_FOUND' })
  })

  test('a binding without content is completed by the next attempt', async (t, { upload, media, store }) => {
    const sent = await upload('tea')
    await media.take('tea', 'm1', 'alice', [sent])
    await store.remove([`c/tea/${sent.sha256}/0`])
    await media.take('tea', 'm1', 'alice', [sent])
    t.equal((await store.head(`c/tea/${sent.sha256}/0`))?.size, 3)
  })

  test('nothing is removed while it is unknown whether it was sent', async (t, {
    upload,
    sweep,
    keys,
    media,
  }) => {
    const sent = await upload('who knows')
    await media.take('tea', 'm1', 'alice', [sent])
    const before = await keys()
    await t.rejects(sweep({ after: 2 * day, fails: true }), /not to be known/)
    t.same(await keys(), before)
  })

  test('a send during a sweep is refused, or keeps its medium', async (t, {
    upload,
    sweep,
    media,
    store,
  }) => {
    const old = await upload('old')
    await media.take('tea', 'm1', 'alice', [old])
    // A send between the sweep's tombstone and its removals.
    const late: { outcome?: string } = {}
    await sweep({
      after: 2 * day,
      during: async () => {
        late.outcome = await media.take('tea', 'm2', 'alice', [old]).then(
          () => 'taken',
          error => (error as { code: string }).code,
        )
      },
    })
    t.same(late, { outcome: 'NOT_FOUND' })
    await t.rejects(media.download('tea', old.mediaId), { code: 'NOT_FOUND' })

    // If the note was written before the tombstone, the sweep leaves the object alone.
    await sweep({ after: 2 * day })
    const wanted = await upload('wanted')
    const putLate: MediaStore['put'] = async (key, data) => {
      if (key.startsWith(uploadFolder(wanted.mediaId))) await media.take('tea', 'm3', 'alice', [wanted])
      await store.put(key, data)
    }
    const own = (name: string | symbol): unknown => {
      const value: unknown = Reflect.get(store, name)
      return typeof value === 'function' ? value.bind(store) : value
    }
    const racing = new Proxy(store, { get: (_, name) => (name === 'put' ? putLate : own(name)) })
    const swept = await sweepMedia({
      store: racing,
      keepMs: day,
      now: () => Date.now() + 2 * day,
      wasSent: async () => false,
    })
    t.same(swept, { abandoned: 0, uploads: 0, unsent: 0 })
    await media.download('tea', wanted.mediaId)
  })
}

interface Under {
  readonly store: MediaStoreUnderTest['store']
  readonly media: Media
  upload(text: string, options?: { complete?: boolean }): Promise<Attachment>
  sweep(options: {
    after: number
    /** `conversation message` of the messages in the log. */
    sent?: readonly string[]
    fails?: boolean
    during?: () => Promise<void>
  }): ReturnType<typeof sweepMedia>
  keys(): Promise<string[]>
}

const using = ({ store, put }: MediaStoreUnderTest): Under => {
  const media = new Media(store)
  return {
    store,
    media,
    upload: async (text, { complete = true } = {}) => {
      const body = new TextEncoder().encode(text)
      const sha256 = createHash('sha256').update(body).digest('hex')
      const about = { name: 'a.txt', type: 'text/plain', size: body.length, sha256 }
      const { mediaId, parts } = await media.announce('alice', about)
      for (const { url } of parts) await put(url, body)
      if (complete) await media.complete('alice', mediaId)
      return { mediaId, ...about }
    },
    sweep: ({ after, sent = [], fails = false, during }) =>
      sweepMedia({
        store,
        keepMs: day,
        now: () => Date.now() + after,
        wasSent: async (c, m) => {
          if (fails) throw new Error('not to be known')
          await during?.()
          return sent.includes(`${c} ${m}`)
        },
      }),
    keys: async () => {
      const keys: string[] = []
      for await (const { key } of store.list('')) keys.push(key)
      return keys
    },
  }
}
