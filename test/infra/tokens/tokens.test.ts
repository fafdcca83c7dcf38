import { writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { type CryptoKey, exportJWK, exportSPKI, generateKeyPair, type JWK, SignJWT } from 'jose'
import t from 'tap'
import { createTokenVerifier, signDevToken } from '../../../src/infra/tokens/index.ts'
import { tempFolder } from '../../harness/temp-folder.ts'

const secret = 'a secret of thirty-two characters'
const encode = (text: string) => new TextEncoder().encode(text)
const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')

const signed = (
  alg: string,
  key: CryptoKey | Uint8Array,
  claims: Record<string, unknown> = {},
  kid?: string,
) =>
  new SignJWT({ sub: 'alice', ...claims })
    .setProtectedHeader(kid === undefined ? { alg } : { alg, kid })
    .sign(key)

const refused = { code: 'UNAUTHENTICATED' }

t.test('verifies HS256 tokens with the secret', async t => {
  const tokens = await createTokenVerifier({ secret })
  const soon = Math.floor(Date.now() / 1000) + 60
  t.same(await tokens.verify(await signed('HS256', encode(secret), { exp: soon })), {
    user: 'alice',
    expiresAt: soon,
  })
  t.same(await tokens.verify(await signed('HS256', encode(secret))), { user: 'alice', expiresAt: 0 })
  t.match(await tokens.verify(await signDevToken(secret, 'bob')), { user: 'bob' })
})

t.test('refuses tokens that are not valid, without showing their content', async t => {
  const tokens = await createTokenVerifier({ secret })
  const good = await signDevToken(secret, 'alice')
  const [header, payload, signature] = good.split('.') as [string, string, string]
  const past = Math.floor(Date.now() / 1000) - 60
  const bad: Record<string, string> = {
    empty: '',
    words: 'not a token',
    forged: await signed('HS256', encode('another secret, as long as the first')),
    expired: await signed('HS256', encode(secret), { exp: past }),
    'not yet': await signed('HS256', encode(secret), { nbf: past + 600 }),
    unsigned: `${part({ alg: 'none' })}.${part({ sub: 'alice' })}.`,
    'header changed': `${part({ alg: 'HS512' })}.${payload}.${signature}`,
    'payload changed': `${header}.${part({ sub: 'root' })}.${signature}`,
    'signature cut': `${header}.${payload}.${signature.slice(0, -2)}`,
    'HS512 by the same secret': await signed('HS512', encode(secret.repeat(2))),
    'sub with a dot': await signed('HS256', encode(secret), { sub: 'a.b' }),
    'no sub': await signed('HS256', encode(secret), { sub: undefined }),
    'long sub': await signed('HS256', encode(secret), { sub: 'a'.repeat(65) }),
  }
  for (const [name, token] of Object.entries(bad)) {
    const error: Error = await tokens.verify(token).then(
      () => new Error('accepted'),
      error => error,
    )
    t.match(error, refused, name)
    for (const piece of token.split('.').filter(piece => piece.length > 8))
      t.notOk(error.message.includes(piece), name)
  }
})

t.test('checks a cached token again when it has expired', async t => {
  const tokens = await createTokenVerifier({ secret })
  // Within the clock tolerance now, outside it in a moment.
  const exp = Math.floor(Date.now() / 1000) - 4
  const token = await signed('HS256', encode(secret), { exp })
  t.match(await tokens.verify(token), { user: 'alice' })
  await t.resolves(
    (async () => {
      while (
        await tokens.verify(token).then(
          () => true,
          () => false,
        )
      )
        await new Promise(r => setTimeout(r, 50))
    })(),
  )
})

t.test('jwt.clockTolerance decides how long an expired token is valid', async t => {
  const exp = Math.floor(Date.now() / 1000) - 30
  const token = await signed('HS256', encode(secret), { exp })
  const tolerant = await createTokenVerifier({ secret, clockToleranceMs: 600_000 })
  t.match(await tolerant.verify(token), { user: 'alice', expiresAt: exp })
  const strict = await createTokenVerifier({ secret, clockToleranceMs: 0 })
  await t.rejects(strict.verify(token), refused)
})

const keySet = async () => {
  const eddsa = await generateKeyPair('EdDSA', { extractable: true })
  const rsa = await generateKeyPair('RS256', { extractable: true })
  const keys: JWK[] = [
    { ...(await exportJWK(eddsa.publicKey)), kid: 'e', alg: 'EdDSA', use: 'sig' },
    { ...(await exportJWK(rsa.publicKey)), kid: 'r', alg: 'RS256', use: 'sig' },
  ]
  return { eddsa, rsa, keys }
}

t.test('verifies EdDSA and RS256 tokens with the keys of a file', async t => {
  const { eddsa, rsa, keys } = await keySet()
  const file = join(tempFolder(t), 'jwks.json')
  writeFileSync(file, JSON.stringify({ keys }))
  const tokens = await createTokenVerifier({ jwks: file })
  t.match(await tokens.verify(await signed('EdDSA', eddsa.privateKey, {}, 'e')), { user: 'alice' })
  t.match(await tokens.verify(await signed('RS256', rsa.privateKey, {}, 'r')), { user: 'alice' })

  const other = await generateKeyPair('EdDSA')
  await t.rejects(tokens.verify(await signed('EdDSA', other.privateKey, {}, 'e')), refused)
  await t.rejects(tokens.verify(await signed('EdDSA', eddsa.privateKey, {}, 'unknown')), refused)
  // The public key as HMAC secret: the algorithm confusion attack.
  const pem = encode(await exportSPKI(rsa.publicKey))
  await t.rejects(tokens.verify(await signed('HS256', pem, {}, 'r')), refused)
})

t.test('a secret and a key set verify their own algorithms only', async t => {
  const { eddsa, keys } = await keySet()
  const file = join(tempFolder(t), 'jwks.json')
  const octet = { kty: 'oct', k: Buffer.from(secret).toString('base64url'), kid: 's', alg: 'HS256' }
  writeFileSync(file, JSON.stringify({ keys: [...keys, octet] }))
  const tokens = await createTokenVerifier({ jwks: file, secret: 'the secret that is configured, 32 b' })
  t.match(await tokens.verify(await signed('EdDSA', eddsa.privateKey, {}, 'e')), { user: 'alice' })
  await t.rejects(
    tokens.verify(await signed('HS256', encode(secret), {}, 's')),
    refused,
    'a secret key in the key set is not used',
  )
})

t.test('a key set by URL is fetched when needed, and UNAVAILABLE while it cannot be fetched', async t => {
  const { eddsa, keys } = await keySet()
  let answers = 0
  let broken = true
  const server = createServer((_, response) => {
    answers++
    if (broken) response.writeHead(500).end()
    else response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ keys }))
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks`
  const tokens = await createTokenVerifier({ jwks: url })
  const token = await signed('EdDSA', eddsa.privateKey, {}, 'e')
  await t.rejects(tokens.verify(token), { code: 'UNAVAILABLE' })
  broken = false
  t.match(await tokens.verify(token), { user: 'alice' })
  t.match(await tokens.verify(token), { user: 'alice' })
  t.equal(answers, 2)
})

t.test('refuses a file that is not a key set', async t => {
  const file = join(tempFolder(t), 'jwks.json')
  writeFileSync(file, 'no JSON')
  await t.rejects(createTokenVerifier({ jwks: file }), /is not a JSON Web Key Set/)
  await t.rejects(createTokenVerifier({ jwks: join(tempFolder(t), 'missing') }), { code: 'ENOENT' })
})
