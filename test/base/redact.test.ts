import fc from 'fast-check'
import t from 'tap'
import { hideSecret, hideUrlCredentials, redact } from '../../src/base/redact.ts'

t.test('credentials of URLs are hidden wherever they are', async t => {
  for (const text of [
    'nats://user:marked@host:4222',
    'cannot reach "https://marked@host/x" or nats://a:marked@b,nats://c:marked@d',
    'nats://user:mar@ked@host',
  ])
    t.notMatch(redact(text), /marked|mar@ked/, text)
  t.equal(
    redact('mail to alice@example.com, see https://example.com/@alice'),
    'mail to alice@example.com, see https://example.com/@alice',
  )
})

t.test('a hidden secret is in no text, in any of its forms', async t => {
  await fc.assert(
    fc.asyncProperty(
      fc.string({ minLength: 8, maxLength: 40, unit: 'binary' }).filter(text => text.isWellFormed()),
      fc.constantFrom(
        (secret: string) => secret,
        (secret: string) => JSON.stringify({ password: secret }),
        (secret: string) => `x=${encodeURIComponent(secret)}&y`,
        (secret: string) => `Basic ${Buffer.from(secret).toString('base64')}`,
      ),
      async (secret, write) => {
        hideSecret(secret)
        const text = write(secret)
        return !redact(`before ${text} after`).includes(text)
      },
    ),
  )
  hideUrlCredentials('https://user:p%40ssword-9@one.example')
  for (const form of ['p@ssword-9', 'p%40ssword-9', Buffer.from('user:p@ssword-9').toString('base64')])
    t.notOk(redact(`failed with ${form}.`).includes(form), form)
})

t.test('a short secret does not damage other texts', async t => {
  hideSecret('confab')
  t.equal(redact('confab is up'), 'confab is up')
})
