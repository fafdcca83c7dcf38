import t from 'tap'
import { canonicalEmoji } from '../../src/events/index.ts'

const rgi = /^\p{RGI_Emoji}$/v
const unqualified = (emoji: string): string => emoji.replaceAll('\ufe0f', '')

/** All emoji of one code point, with and without a variation selector or skin tone, keycaps, and some sequences. */
const emojis: string[] = []
for (let point = 0; point < 0x20000; point++) {
  if (point >= 0xd800 && point < 0xe000) continue
  const text = String.fromCodePoint(point)
  for (const emoji of [text, `${text}\ufe0f`, `${text}🏽`, `${text}\ufe0f\u20e3`])
    if (rgi.test(emoji)) emojis.push(emoji)
}
for (const sequence of [
  '🇩🇪',
  '🏴󠁧󠁢󠁥󠁮󠁧󠁿',
  '👨‍👩‍👧‍👦',
  '🏳️‍🌈',
  '🏴‍☠️',
  '❤️‍🔥',
  '👁️‍🗨️',
  '🕵🏽‍♂️',
  '🕵️‍♀️',
  '👩🏽‍🤝‍👨🏿',
  '👩🏽‍❤️‍💋‍👨🏿',
  '⛹🏿‍♀️',
  '🧑‍⚕️',
  '🐻‍❄️',
])
  emojis.push(sequence)

t.test('every emoji has one canonical form, with and without its variation selectors', async t => {
  t.ok(emojis.length > 1_500, `${emojis.length} emoji`)
  for (const emoji of emojis)
    if (canonicalEmoji(emoji) !== emoji || canonicalEmoji(unqualified(emoji)) !== emoji)
      t.fail(`${emoji} ${Buffer.from(emoji).toString('hex')}: ${canonicalEmoji(unqualified(emoji))}`)
  t.equal(new Set(emojis.map(unqualified)).size, emojis.length)
})

t.test('a heart is one emoji, however a keyboard writes it', async t => {
  for (const heart of ['❤', '❤️', '❤\ufe0e', '❤\ufe0f\ufe0f']) t.equal(canonicalEmoji(heart), '❤\ufe0f')
  t.equal(canonicalEmoji('👍\ufe0f'), '👍', 'a variation selector that nothing needs')
  t.equal(canonicalEmoji('🕵‍♂'), '🕵️‍♂️')
  t.equal(canonicalEmoji('1\u20e3'), '1\ufe0f\u20e3')
})

t.test('any other text is no emoji', async t => {
  const texts = [
    '',
    'a',
    '1',
    '#',
    '👍👍',
    '❤️❤',
    '👍 ',
    ' ',
    '\n👍',
    '👍\n',
    '<b>👍</b>',
    '\u202e👍',
    '👍\u202e',
    '\0',
    '👍\0',
    '\ufe0f',
    '\u200d',
    '👍\u200d',
    '👍\u200b',
    '🇩',
    '🇩🇪🇫',
    '👍🏽🏽',
    '🏴󠁧󠁢󠁿',
    'https://example.org',
    ':+1:',
    ':)',
    '\u20e3',
    'a\ufe0f\u20e3',
    '\ud83d',
  ]
  for (const text of texts) t.equal(canonicalEmoji(text), undefined, JSON.stringify(text))
})
