import fc from 'fast-check'
import type { Test } from 'tap'
import { ConfabError, Limits } from '../../src/events/index.ts'
import type { SearchChange, SearchPosted, SearchQuery, Views } from '../../src/projections/index.ts'
import { type OpenEmptyViews, second } from './open-views.ts'

const posted = (seq: number, text: string, more: Partial<SearchPosted> = {}): SearchPosted => ({
  kind: 'posted',
  c: 'c',
  m: `m${seq}`,
  seq,
  streamSeq: seq,
  from: 'ann',
  at: second(seq),
  text,
  media: false,
  ...more,
})
const amended = (seq: number, m: string, text: string | null): SearchChange => ({
  kind: 'amended',
  c: 'c',
  m,
  seq,
  text,
})

const seqsOf = async (views: Views, q: string, more: Partial<SearchQuery> = {}): Promise<number[]> =>
  (await views.search.search({ q, conversations: ['c', 'd'], limit: 100, ...more })).hits.map(
    ({ seq }) => seq,
  )

/**
 * The contract of SearchIndex, read through SearchQueries. An index may take up to a second to show a change; `open`
 * handles the wait.
 */
export const testSearchIndex = (t: Test, open: OpenEmptyViews): void => {
  const withTexts = async (t: Test, ...texts: string[]) => {
    const opened = await open(t)
    await opened.stores.search.apply(texts.map((text, i) => posted(i + 1, text)))
    return opened
  }

  t.test('words, phrases and prefixes, all required', async t => {
    const { views } = await withTexts(
      t,
      'the quick brown fox',
      'a fox, quick and brown',
      'Quickly now',
      'foxes',
    )
    t.same(await seqsOf(views, 'quick'), [2, 1])
    t.same(await seqsOf(views, 'fox brown'), [2, 1])
    t.same(await seqsOf(views, '"quick brown"'), [1])
    t.same(await seqsOf(views, 'quick-brown'), [1], 'words written together are a phrase')
    t.same(await seqsOf(views, 'quick*'), [3, 2, 1])
    t.same(await seqsOf(views, 'fox*'), [4, 2, 1])
    t.same(await seqsOf(views, '"brown fo"*'), [1])
    t.same(await seqsOf(views, '"quick brown'), [1], 'an unclosed quote')
    t.same(await seqsOf(views, 'quick missing'), [])
    t.same(await seqsOf(views, 'QUICK OR fox NOT a'), [], 'operators are words')
  })

  t.test('messages before the first one of a conversation are as if they did not exist', async t => {
    const { stores, views } = await open(t)
    const all = [
      ...[1, 2, 3, 4].map(seq => posted(seq, 'tea', { at: second(Math.min(seq, 3)) })),
      ...[5, 6, 7].map(seq => posted(seq, 'tea', { c: 'd', m: `d${seq}` })),
    ]
    await stores.search.apply(all)
    const from = (first: readonly [string, number][]) => ({ firsts: new Map(first) })
    t.same(await seqsOf(views, 'tea', from([['c', 3]])), [7, 6, 5, 4, 3])
    t.same(await seqsOf(views, 'tea', from([['c', 4]])), [7, 6, 5, 4], 'of two at one time')
    t.same(
      await seqsOf(
        views,
        'tea',
        from([
          ['c', 5],
          ['d', 6],
        ]),
      ),
      [7, 6],
    )
    t.same(await seqsOf(views, 'tea', from([['d', Number.POSITIVE_INFINITY]])), [4, 3, 2, 1])
    const page = {
      q: 'tea',
      conversations: ['c', 'd'],
      limit: 2,
      ...from([
        ['c', 5],
        ['d', 6],
      ]),
    }
    t.equal((await views.search.search(page)).cursor, undefined, 'no cursor reveals them')
    for (let first = 1; first <= 8; first++) {
      const found: number[] = []
      for (let cursor: string | undefined, isFirst = true; isFirst || cursor !== undefined; isFirst = false) {
        const more = cursor === undefined ? {} : { cursor }
        const next = await views.search.search({
          ...page,
          ...from([
            ['c', first],
            ['d', first],
          ]),
          limit: 1,
          ...more,
        })
        found.push(...next.hits.map(({ seq }) => seq))
        cursor = next.cursor
      }
      t.same(
        found,
        [7, 6, 5, 4, 3, 2, 1].filter(seq => seq >= first),
      )
    }
  })

  t.test('every script, without case and accents', async t => {
    const { views } = await withTexts(
      t,
      'Café NAÏVE',
      'ПРИВЕТ мир',
      '東京タワーに行きました',
      'ภาษาไทย',
      'हिन्दी में',
      'الْعَرَبِيَّة',
      'Straße',
      '안녕하세요',
      'ΟΔΟΣ',
      'ﬁle Ｗｉｄｅ',
      'so happy 🎉🎉',
      'with a heart ❤\ufe0f here',
      'and ♥ without, ♥ twice',
    )
    const finds: [string, number][] = [
      ['cafe', 1],
      ['naive', 1],
      ['CAFE\u0301', 1],
      ['привет', 2],
      ['東京', 3],
      ['タワー', 3],
      ['京', 3],
      ['ไทย', 4],
      ['हिन्दी', 5],
      ['العربية', 6],
      ['STRASSE', 7],
      ['안녕하세요', 8],
      ['οδος', 9],
      ['file', 10],
      ['wide', 10],
      ['🎉', 11],
      ['❤\ufe0f', 12],
      ['❤', 12],
      ['"heart ❤ here"', 12],
      ['"heart ❤\ufe0f here"', 12],
      ['♥\ufe0f', 13],
      ['"♥\ufe0f without"', 13],
    ]
    for (const [q, seq] of finds) t.same(await seqsOf(views, q), [seq], q)
    t.same(await seqsOf(views, '京東'), [])
    t.same(await seqsOf(views, '\ufe0f'), [], 'variation selectors are ignored')
  })

  t.test('a word is found by each of its spellings, and marked as it was written', async t => {
    const words: readonly (readonly string[])[] = [
      ['IŞIK', 'ışık', 'i\u0307şik'],
      ['Łódź', 'lodz', 'LO\u0301DZ\u0301'],
      ['smørrebrød', 'SMORREBROD'],
      ['Đà', 'da'],
      ['Straße', 'STRASSE'],
      ['œuvre', 'oeuvre'],
      ['ёлка', 'Елка'],
      ['мой', 'МОЙ', 'мои\u0306'],
      ['мои'],
      ['ﾊﾝﾊﾞｰｶﾞｰ', 'ハンバーガー', 'ハンハ\u3099ーカ\u3099ー'],
      ['علي', 'علی', 'عـلى', 'عَلِي'],
      ['كتاب', 'کتاب'],
      ['أحمد', 'احمد'],
      ['مدرسة', 'مدرسه'],
      ['١٢٣', '123', '۱۲۳', '१२३', '１２３'],
      ['un\u00adbe\u200bliev\u200cab\u2060le', 'unbelievable', 'UN\ufeffBELIEV\u200eABLE'],
      ['می\u200cخواهم', 'میخواهم'],
      ['น\u0e49\u0e33', 'น\u0e49\u0e4dา', 'น\u0e4d\u0e49า'],
      ['한글', '\u1112\u1161\u11ab글'],
      ['ﬁnal', 'final', 'ｆｉｎａｌ'],
      ['שָׁלוֹם', 'שלום'],
    ]
    const all = words.flatMap((spellings, group) => spellings.map(text => ({ text, group })))
    const { views } = await withTexts(t, ...all.map(({ text }) => `(${text}!)`))
    for (const { text: q, group } of all) {
      const seqs = all.flatMap((one, i) => (one.group === group ? [i + 1] : [])).reverse()
      t.same(await seqsOf(views, q), seqs, q)
      t.same(await seqsOf(views, `"${q}"*`), seqs, `${q}*`)
      const { hits } = await views.search.search({ q, conversations: ['c'], limit: 100 })
      for (const { text, highlight } of hits) t.equal(highlight, `(<mark>${text.slice(1, -2)}</mark>!)`, q)
    }
  })

  t.test('filters', async t => {
    const { stores, views } = await open(t)
    await stores.search.apply([
      posted(1, 'word'),
      posted(2, 'word', { from: 'bob' }),
      posted(3, 'word', { media: true }),
      posted(4, 'word', { c: 'd' }),
      posted(5, 'word', { c: 'secret' }),
    ])
    const ms = (s: number) => Date.parse(second(s))
    t.same(await seqsOf(views, 'word'), [4, 3, 2, 1])
    t.same(await seqsOf(views, 'word', { conversations: ['c'] }), [3, 2, 1])
    t.same(await seqsOf(views, 'word', { conversations: [] }), [])
    const thousands = Array.from({ length: 5000 }, (_, i) => `other-${i}`)
    t.same(await seqsOf(views, 'word', { conversations: [...thousands, 'd'] }), [4])
    t.same(await seqsOf(views, 'word', { from: 'bob' }), [2])
    t.same(await seqsOf(views, 'word', { from: 'Bob' }), [])
    t.same(await seqsOf(views, 'word', { hasMedia: true }), [3])
    t.same(await seqsOf(views, 'word', { hasMedia: false }), [4, 2, 1])
    t.same(await seqsOf(views, 'word', { after: ms(2) }), [4, 3, 2], 'at or after')
    t.same(await seqsOf(views, 'word', { before: ms(2) }), [1])
    t.same(await seqsOf(views, 'word', { after: ms(2), before: ms(3) + 0.5, from: 'ann' }), [3])
    t.same(await seqsOf(views, 'word', { after: -1e18, before: 1e18 }), [4, 3, 2, 1])
    await t.rejects(seqsOf(views, 'word', { after: Number.NaN }), { code: 'BAD_REQUEST' })
  })

  t.test('the newest first, page by page, also within one millisecond', async t => {
    const { stores, views } = await open(t)
    const at = second(0)
    await stores.search.apply([
      ...[5, 6, 7].map(seq => posted(seq, 'word', { at })),
      posted(8, 'word', { c: 'd', at: second(-60), streamSeq: 5 }),
      posted(9, 'word', { c: 'd', at, streamSeq: 5 }),
      posted(10, 'word', { c: 'd', at: second(1) }),
    ])
    const all: number[] = []
    for (let cursor: string | undefined, pages = 0; pages === 0 || cursor !== undefined; pages++) {
      const page = await views.search.search({
        q: 'word',
        conversations: ['c', 'd'],
        limit: 2,
        ...(cursor ? { cursor } : {}),
      })
      all.push(...page.hits.map(({ seq }) => seq))
      cursor = page.cursor
    }
    t.same([all[0], all.at(-1)], [10, 8])
    t.same(
      [...all].sort((a, b) => a - b),
      [5, 6, 7, 8, 9, 10],
      'each once',
    )
    t.same(
      all.filter(seq => seq < 8),
      [7, 6, 5],
    )
    for (const cursor of ['', 'x', '-', '%'])
      await t.rejects(seqsOf(views, 'word', { cursor }), { code: 'BAD_REQUEST' })
  })

  t.test('edits and deletions are applied, in any batches, any number of times', async t => {
    const history = [
      posted(1, 'first'),
      posted(2, 'other'),
      amended(3, 'm1', 'second'),
      amended(4, 'm1', 'third'),
      amended(5, 'm2', null),
    ]
    for (const cuts of [[5], [1, 4], [3, 2], [1, 1, 1, 1, 1]]) {
      const { stores, views } = await open(t)
      let at = 0
      for (const size of cuts) {
        await stores.search.apply(history.slice(at, at + size))
        await stores.search.apply(history.slice(0, at + size))
        at += size
      }
      await stores.search.apply(history.slice(0, 3))
      t.same(await Promise.all(['first', 'second', 'third', 'other'].map(q => seqsOf(views, q))), [
        [],
        [],
        [1],
        [],
      ])
      const { hits } = await views.search.search({ q: 'third', conversations: ['c'], limit: 1 })
      t.same(hits, [
        {
          c: 'c',
          seq: 1,
          m: 'm1',
          from: 'ann',
          at: second(1),
          text: 'third',
          highlight: '<mark>third</mark>',
        },
      ])
    }
  })

  t.test('highlights are safe to show', async t => {
    const { views } = await withTexts(
      t,
      '<script>alert("x")</script> & \u0000 word',
      `${'long '.repeat(3000)}needle${' long'.repeat(300)}`,
      'a ❤\ufe0f of it',
    )
    const shown = async (q: string) =>
      (await views.search.search({ q, conversations: ['c'], limit: 1 })).hits[0]
    t.equal(
      (await shown('script word'))?.highlight,
      '&lt;<mark>script</mark>&gt;alert(&quot;x&quot;)&lt;/<mark>script</mark>&gt; &amp; \u0000 <mark>word</mark>',
    )
    t.equal(
      (await shown('❤'))?.highlight,
      'a <mark>❤\ufe0f</mark> of it',
      'the variation selector stays with its sign',
    )
    const long = await shown('needle')
    t.match(long?.highlight, /^….*<mark>needle<\/mark>.*…$/)
    t.ok((long?.highlight.length ?? 0) < 400)
    t.equal(long?.text.length, 15_000 + 6 + 1_500)
  })

  t.test('the worst result of a query is BAD_REQUEST', async t => {
    const { views } = await withTexts(t, 'one', 'two')
    for (const q of ['', ' ', '\n', 'x'.repeat(Limits.queryChars + 1)])
      await t.rejects(seqsOf(views, q), { code: 'BAD_REQUEST' })
    for (const q of ['!', '"', '""', '*', '"*"', '\u0000', '-- ;', '\ud800', ':', '^', '()'])
      t.same(await seqsOf(views, q), [], JSON.stringify(q))
    const syntax = fc.constantFrom(
      '"',
      '*',
      ' ',
      'OR',
      'AND',
      'NOT',
      'NEAR(',
      '(',
      ')',
      ':',
      '^',
      '+',
      '-',
      '{',
      '}',
      'words',
      'tags:',
      "'",
      '\\',
      '\u0000',
      'a',
      '東',
      '1',
    )
    const query = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 300 }),
      fc.array(syntax, { maxLength: 120 }).map(parts => parts.join('')),
    )
    const fields = fc.record(
      { cursor: fc.string({ maxLength: 20 }), from: fc.string({ minLength: 1, maxLength: 64 }) },
      { requiredKeys: [] },
    )
    await fc.assert(
      fc.asyncProperty(query, fields, async (q, more) => {
        await seqsOf(views, q, more).catch(error => {
          if (!ConfabError.is(error) || error.code !== 'BAD_REQUEST') throw error
        })
      }),
      { numRuns: 1000 },
    )
    t.same(await seqsOf(views, 'one'), [1])
  })

  t.test('long queries find what contains all of their words', async t => {
    const words = Array.from({ length: 60 }, (_, i) => `w${i.toString(36)}`)
    const all = words.join(' ')
    const { views } = await withTexts(
      t,
      all,
      words.slice(0, -1).join(' '),
      words.toReversed().join(' '),
      `${words.slice(0, 30).join(' ')} and ${words.slice(30).join(' ')}`,
      'a '.repeat(8_000),
      `${'a '.repeat(8_000)}b`,
    )
    t.same(await seqsOf(views, all), [4, 3, 1])
    t.same(await seqsOf(views, `"${all}"`), [1])
    t.same(await seqsOf(views, `"${all}"*`), [1])
    t.same(await seqsOf(views, `"${words.slice(1, 40).join(' ')} w1"*`), [2, 1])
    t.same(
      await seqsOf(
        views,
        words
          .map(word => `${word}*`)
          .join(' ')
          .slice(0, 256),
      ),
      [4, 3, 2, 1],
    )
    t.same(await seqsOf(views, 'a '.repeat(127)), [6, 5])
    t.same(await seqsOf(views, `"${'a '.repeat(126)}"`), [6, 5])
    t.same(await seqsOf(views, `"${'a '.repeat(125)}b"`), [6])
    t.same(await seqsOf(views, `"b ${'a '.repeat(125)}"`), [])
    t.same(await seqsOf(views, `b ${'"a a" a* '.repeat(20)}`), [6])
  })

  t.test('a query has a bounded number of words', async t => {
    const { views } = await withTexts(t, '東'.repeat(300))
    t.same(await seqsOf(views, '東'.repeat(256)), [1])
    // A ligature of four words.
    await t.rejects(seqsOf(views, '\ufdfa'.repeat(256)), { code: 'BAD_REQUEST', field: '/q' })
  })

  t.test('a page ends early when its texts fill an answer', async t => {
    const { views } = await withTexts(
      t,
      ...Array.from({ length: 20 }, (_, i) => `${'a '.repeat(8_000)}t${i}`),
    )
    const found: number[] = []
    let pages = 0
    for (let cursor: string | undefined; ; pages++) {
      const page = await views.search.search({
        q: 'a',
        conversations: ['c'],
        limit: 100,
        ...(cursor === undefined ? {} : { cursor }),
      })
      const size = page.hits.reduce((sum, { text }) => sum + text.length, 0)
      t.ok(size < 2 * Limits.frameBytes, `${size} characters`)
      found.push(...page.hits.map(({ seq }) => seq))
      cursor = page.cursor
      if (cursor === undefined) break
    }
    t.same(
      found,
      Array.from({ length: 20 }, (_, i) => 20 - i),
    )
    t.ok(pages >= 3)
  })

  t.test('texts of any kind, up to 16 KiB, do no harm', async t => {
    const { stores, views } = await open(t)
    const texts = fc.sample(fc.string({ unit: 'binary', maxLength: 200 }), { numRuns: 300, seed: 7 })
    const long = [
      'x'.repeat(16 * 1024),
      '東'.repeat(5461),
      'e\u0301'.repeat(5000),
      '\u0000'.repeat(16 * 1024),
      '\u200b\ufeff',
      '🎉'.repeat(4096),
    ]
    const all = [...texts, ...long]
    await stores.search.apply(all.map((text, i) => posted(i + 1, `${text} marker`)))
    t.same((await seqsOf(views, 'marker', { limit: 1000 })).length, all.length)
    await stores.search.apply(all.map((_, i) => amended(1000 + i, `m${i + 1}`, null)))
    t.same(await seqsOf(views, 'marker'), [])
    await stores.search.clear()
    await stores.search.apply([posted(1, 'marker')])
    t.same(await seqsOf(views, 'marker'), [1])
  })
}
