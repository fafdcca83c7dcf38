import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import t from 'tap'
import {
  checkedId,
  deadLetterSubjectOf,
  Family,
  InvalidNameError,
  isId,
  parseSubject,
  signalSubjectOf,
  snapshotSubjectOf,
  subjectOf,
  subjectToken,
} from '../../src/events/index.ts'
import { pathOf } from '../../src/infra/media-folder/object-files.ts'
import { apiSubject } from '../../src/infra/nats/client/jetstream-api.ts'
import { commandSubject, decodeCommand } from '../../src/infra/nats/commands/command-wire.ts'
import { revocationKey } from '../../src/infra/nats/coordination/revocation-bucket.ts'
import { digestSubject } from '../../src/infra/nats/feed/digest.ts'
import {
  bindingOf,
  contentFolder,
  contentOf,
  intentOf,
  partsOfUploadKey,
  uploadContent,
  uploadFacts,
  uploadFolder,
  uploadIntent,
} from '../../src/media/media-binding.ts'

const hash = 'a'.repeat(64)

/** Every function that makes a subject, a key or a path from an id. */
const ofIds: Readonly<Record<string, (id: string) => string>> = {
  checkedId,
  conversation: id => subjectOf({ family: Family.conversation, id }),
  user: id => subjectOf({ family: Family.user, id }),
  signal: signalSubjectOf,
  snapshot: id => snapshotSubjectOf({ family: Family.conversation, id }),
  uploadFolder,
  uploadFacts,
  uploadContent,
  'intent, media': id => uploadIntent(id, 'c', 'm'),
  'intent, conversation': id => uploadIntent('x', id, 'm'),
  'intent, message': id => uploadIntent('x', 'c', id),
  contentFolder: id => contentFolder(id, hash),
  contentOf: id => contentOf(id, hash),
  'binding, conversation': id => bindingOf(id, hash, 'x'),
  'binding, media': id => bindingOf('c', hash, id),
  'revocation, user': id => revocationKey({ of: 'user', user: id, before: 0 }),
  'revocation, user of a token': id => revocationKey({ of: 'token', user: id, token: 'x' }),
  'revocation, token': id => revocationKey({ of: 'token', user: 'u', token: id }),
}

/** Every function that makes a subject from another name. */
const ofNames: Readonly<Record<string, (name: string) => string>> = {
  subjectToken,
  deadLetterSubjectOf,
  digestSubject,
  commandSubject,
  'API of a stream': name => apiSubject('STREAM.INFO', name),
}

const bad = ['', '*', '>', 'a.b', 'a b', 'a\n', 'a\r\nPUB x', '\0', 'a\0', '\x7f', 'é', '\xff'.repeat(2_000)]
const badIds = [...bad, '..', '.', 'a/b', '%2e', '$JS', 'a'.repeat(65)]

for (const [name, build] of Object.entries(ofIds))
  t.test(`${name} throws on what is no id`, async t => {
    for (const id of badIds) t.throws(() => build(id), InvalidNameError, JSON.stringify(id.slice(0, 20)))
    t.match(build('A-z_09'), /A-z_09/)
    await t.resolves(
      fc.assert(
        fc.asyncProperty(fc.string({ unit: 'binary', maxLength: 70 }), async id => {
          if (isId(id)) build(id)
          else if (
            !(await Promise.resolve()
              .then(() => build(id))
              .then(() => false, InvalidNameError.is.bind(InvalidNameError)))
          )
            throw new Error(`${JSON.stringify(id)} was accepted`)
        }),
      ),
    )
  })

for (const [name, build] of Object.entries(ofNames))
  t.test(`${name} throws on what is no token of a subject`, async t => {
    for (const token of [...bad, 'a'.repeat(256)])
      t.throws(() => build(token), InvalidNameError, JSON.stringify(token.slice(0, 20)))
    for (const token of ['CONV_0', 'KV_confab-presence', 'read-state', 'a'.repeat(255)])
      t.match(build(token), token)
  })

t.test('hashes, paths and keys that others wrote', async t => {
  for (const sha256 of ['', '..', 'A'.repeat(64), 'a'.repeat(63), `${hash}/x`])
    t.throws(() => contentOf('c', sha256), InvalidNameError, sha256)
  for (const key of ['', '..', 'a//b', '/a', 'a/../b', 'a/%2e%2e', 'a\0'])
    t.throws(() => pathOf('/folder', key), InvalidNameError, key)
  for (const key of ['uploads/*/facts', 'uploads/a.b/facts', 'uploads//facts'])
    t.equal(partsOfUploadKey(key), undefined)
  for (const rest of ['sent/*/m', 'sent/c/>', 'sent/a.b/m']) t.equal(intentOf(rest), undefined)
})

t.test('subjects are parsed only when their id is one', async t => {
  t.same(parseSubject(subjectOf({ family: 'conv', id: 'tea' })), { family: 'conv', id: 'tea' })
  for (const subject of ['conv.1.*', 'conv.1.>', 'conv.1.a.b', 'user.1.'])
    t.equal(parseSubject(subject), undefined)
})

t.test('a command of another process names a user by an id', async t => {
  const command = { call: 'c', id: 'i', from: 'alice', at: '', ttl: 1, request: { id: '1', t: 'privacy' } }
  const decode = (more: object) =>
    decodeCommand(Buffer.from(JSON.stringify({ ...command, at: 'now', ...more })))
  t.match(decode({}), { from: 'alice' })
  for (const from of badIds) t.throws(() => decode({ from }), { code: 'BAD_REQUEST' }, from.slice(0, 20))
})

t.test('subjects are put together in the functions above only', async t => {
  const sources = readdirSync('src', { recursive: true, encoding: 'utf8' }).filter(path =>
    path.endsWith('.ts'),
  )
  const built =
    /`(?:conv|user|sig|snap|dead|cmd\.to|\$JS\.API[.\w]*|digests\.v2\.of)\.\$\{(?!(?:checkedId|partitionOf|subjectToken|operation|family))/g
  for (const path of sources)
    t.same(
      readFileSync(join('src', path), 'utf8').match(built) ?? [],
      [],
      `${path}: use a function of subjects.ts`,
    )
})
