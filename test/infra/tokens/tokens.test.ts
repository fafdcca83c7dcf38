import { writeFileSync } from 'node:fs'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import {
  type CryptoKey,
  exportJWK,
  exportSPKI,
  generateKeyPair,
  type JWK,
  type JWTHeaderParameters,
  SignJWT,
} from 'jose'
import t, { type Test } from 'tap'
import * as clientIds from '../../../src/client/user-ids.ts'
import type { TokenVerifier } from '../../../src/edge/index.ts'
import { claimOfUserId, isId, userIdOfClaim } from '../../../src/events/index.ts'
import { createTokenVerifier, signDevToken, type TokenOptions } from '../../../src/infra/tokens/index.ts'
import { tempFolder } from '../../harness/temp-folder.ts'

const secret = 'a secret of thirty-two characters'
const encode = (text: string) => new TextEncoder().encode(text)
const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
const now = () => Math.floor(Date.now() / 1000)
const day = 86_400

type Claims = Record<string, unknown>

/** Signs claims as they are; by default of a token of alice that is issued now and expires in a minute. */
const signed = (
  alg: string,
  key: CryptoKey | Uint8Array,
  claims: Claims = {},
  header: Partial<JWTHeaderParameters> = {},
) => {
  const all = { sub: 'alice', iat: now(), exp: now() + 60, ...claims }
  return new SignJWT(JSON.parse(JSON.stringify(all)) as Claims)
    .setProtectedHeader({ alg, ...header })
    .sign(key)
}
const hs256 = (claims: Claims = {}) => signed('HS256', encode(secret), claims)

const refused = { code: 'UNAUTHENTICATED' }
const isAccepted = (tokens: TokenVerifier, token: string): Promise<boolean> =>
  tokens.verify(token).then(
    () => true,
    () => false,
  )

/** Checks that a token is refused for a reason, and that the error shows nothing of it. */
const refuses = async (t: Test, tokens: TokenVerifier, token: string, why: RegExp, name: string) => {
  const error: Error = await tokens.verify(token).then(
    () => new Error('accepted'),
    error => error,
  )
  t.match(error, refused, name)
  t.match(error.message, why, name)
  for (const piece of token.split('.').filter(piece => piece.length > 8))
    t.notOk(error.message.includes(piece), name)
}

t.test('an identity has the user, the times and a hash of the token', async t => {
  const tokens = await createTokenVerifier({ secret })
  const soon = now() + 60
  const token = await hs256({ exp: soon, iat: soon - 70 })
  const identity = await tokens.verify(token)
  t.match(identity, { user: 'alice', expiresAt: soon, issuedAt: soon - 70 })
  t.ok(isId(identity.token), 'it is a key of a bucket')
  t.same(await (await createTokenVerifier({ secret })).verify(token), identity, 'at every node')
  t.match(await tokens.verify(await hs256({ iat: undefined })), { issuedAt: 0 })
  const [one, two] = await Promise.all([signDevToken(secret, 'bob'), signDevToken(secret, 'bob')])
  const [first, second] = [await tokens.verify(one), await tokens.verify(two)]
  t.match([first, second], [{ user: 'bob' }, { user: 'bob' }])
  t.not(first.token, second.token, 'each development token is another one')
})

t.test('refuses tokens that are not valid, without showing their content', async t => {
  const tokens = await createTokenVerifier({ secret })
  const [header, payload, signature] = (await hs256()).split('.') as [string, string, string]
  const body = { sub: 'alice', iat: now(), exp: now() + 60 }
  const bad: Record<string, [token: string, why: RegExp]> = {
    empty: ['', /malformed/],
    words: ['not a token', /malformed/],
    huge: ['x'.repeat(9_000), /more than 8192 characters/],
    forged: [await signed('HS256', encode('another secret, as long as the first')), /signature/],
    expired: [await hs256({ exp: now() - 60 }), /expired/],
    'without exp': [await hs256({ exp: undefined }), /no claim exp/],
    'exp as text': [await hs256({ exp: String(now() + 60) }), /malformed|exp/],
    'exp 0': [await hs256({ exp: 0 }), /expired/],
    'not yet': [await hs256({ nbf: now() + 600 }), /nbf/],
    'issued in the future': [await hs256({ iat: now() + 600, exp: now() + 700 }), /iat/],
    'lifetime too long': [await hs256({ exp: now() + 30 * day + 1 }), /lifetime is too long/],
    'long-lived, nearly expired': [await hs256({ iat: now() - 40 * day }), /lifetime is too long/],
    'long-lived, without iat': [await hs256({ iat: undefined, exp: now() + 31 * day }), /lifetime/],
    'endless exp': [`${header}.${part({ ...body, exp: 1e300 })}.${signature}`, /signature/],
    'alg none': [`${part({ alg: 'none' })}.${part(body)}.`, /algorithm/],
    'alg None': [`${part({ alg: 'None' })}.${part(body)}.`, /algorithm/],
    'alg none with a signature': [`${part({ alg: 'none' })}.${payload}.${signature}`, /algorithm/],
    'no alg': [`${part({})}.${payload}.${signature}`, /algorithm/],
    'alg as a list': [`${part({ alg: ['HS256'] })}.${payload}.${signature}`, /algorithm/],
    'header changed': [`${part({ alg: 'HS512' })}.${payload}.${signature}`, /algorithm/],
    'payload changed': [`${header}.${part({ ...body, sub: 'root' })}.${signature}`, /signature/],
    'signature cut': [`${header}.${payload}.${signature.slice(0, -2)}`, /signature|malformed/],
    'no signature': [`${header}.${payload}.`, /signature/],
    'two parts': [`${header}.${payload}`, /malformed/],
    'HS512 by the same secret': [await signed('HS512', encode(secret.repeat(2))), /algorithm/],
    'a critical header': [
      await new SignJWT(body)
        .setProtectedHeader({ alg: 'HS256', crit: ['x-new'], 'x-new': 1 })
        .sign(encode(secret), { crit: { 'x-new': true } }),
      /malformed/,
    ],
    'no sub': [await hs256({ sub: undefined }), /no user id/],
    'empty sub': [await hs256({ sub: '' }), /no user id/],
    'sub as a number': [await hs256({ sub: 7 }), /malformed|user id/],
    'sub as a list': [await hs256({ sub: ['alice'] }), /malformed|user id/],
    'long sub': [await hs256({ sub: 'a'.repeat(65) }), /no user id/],
    'long mail address': [await hs256({ sub: `${'a'.repeat(50)}@example.com` }), /no user id/],
    'the escaped id of another claim': [await hs256({ sub: '--auth0-7cx' }), /no user id/],
  }
  for (const [name, [token, why]] of Object.entries(bad)) await refuses(t, tokens, token, why, name)
})

t.test('audience, issuer, user claim and lifetime, each with right and wrong tokens', async t => {
  const cases: [options: TokenOptions, claims: Claims, user: string | RegExp][] = [
    [{}, { aud: 'other', iss: 'other' }, 'alice'],
    [{ audience: ['chat'] }, { aud: 'chat' }, 'alice'],
    [{ audience: ['chat'] }, { aud: ['mail', 'chat'] }, 'alice'],
    [{ audience: ['chat', 'call'] }, { aud: 'call' }, 'alice'],
    [{ audience: ['chat'] }, { aud: 'mail' }, /claim aud is not valid/],
    [{ audience: ['chat'] }, { aud: 'Chat' }, /claim aud is not valid/],
    [{ audience: ['chat'] }, { aud: [] }, /claim aud is not valid/],
    [{ audience: ['chat'] }, { aud: { chat: true } }, /malformed|aud/],
    [{ audience: ['chat'] }, {}, /no claim aud/],
    [{ issuer: ['https://id.example.com'] }, { iss: 'https://id.example.com' }, 'alice'],
    [{ issuer: ['https://id.example.com'] }, { iss: 'https://id.example.com/' }, /claim iss/],
    [{ issuer: ['https://id.example.com'] }, { iss: ['https://id.example.com'] }, /malformed|iss/],
    [{ issuer: ['https://id.example.com'] }, {}, /no claim iss/],
    [{ issuer: ['one', 'two'] }, { iss: 'two' }, 'alice'],
    [{ userClaim: 'user_id' }, { user_id: 'carol' }, 'carol'],
    [{ userClaim: 'https://example.com/user' }, { 'https://example.com/user': 'carol' }, 'carol'],
    [{ userClaim: 'user_id' }, {}, /claim user_id has no user id/],
    [{ userClaim: 'user_id' }, { user_id: 7 }, /no user id/],
    [{ userClaim: 'email' }, { email: 'alice@example.com' }, '--alice-40example-2ecom'],
    [{ maxLifetimeMs: 60_000 }, { exp: now() + 60, iat: now() }, 'alice'],
    [{ maxLifetimeMs: 60_000 }, { exp: now() + 50, iat: now() - 30 }, /lifetime/],
    [{ requireExpiry: false }, { exp: undefined }, 'alice'],
    [{ requireExpiry: false }, { exp: now() - 60 }, /expired/],
  ]
  for (const [options, claims, user] of cases) {
    const name = JSON.stringify([options, claims])
    const tokens = await createTokenVerifier({ secret, ...options })
    const token = await hs256(claims)
    if (user instanceof RegExp) await refuses(t, tokens, token, user, name)
    else t.match(await tokens.verify(token), { user }, name)
  }
})

t.test('a development token has the claims that the same options require', async t => {
  for (const options of [
    {},
    { audience: ['chat'], issuer: ['me'], userClaim: 'uid', maxLifetimeMs: 3_600_000 },
  ] satisfies TokenOptions[]) {
    const tokens = await createTokenVerifier({ secret, ...options })
    for (const user of ['alice', '--auth0-7cx'])
      t.match(await tokens.verify(await signDevToken(secret, user, options)), { user }, user)
  }
})

t.test('two secrets verify tokens while one replaces the other', async t => {
  const old = 'the secret of last year, 32 bytes'
  const byOld = await signed('HS256', encode(old))
  const byNew = await hs256()
  const byOther = await signed('HS256', encode('neither of the two secrets, 32 by'))
  const accepted = async (options: TokenOptions) => {
    const tokens = await createTokenVerifier(options)
    return await Promise.all([byOld, byNew, byOther].map(token => isAccepted(tokens, token)))
  }
  t.same(await accepted({ secret: old }), [true, false, false])
  t.same(await accepted({ secret, previousSecret: old }), [true, true, false])
  t.same(await accepted({ secret }), [false, true, false])
  const tokens = await createTokenVerifier({ secret, previousSecret: old })
  const expired = await signed('HS256', encode(old), { exp: now() - 60 })
  await refuses(t, tokens, expired, /expired/, 'the reason is that of the secret that matches')
})

t.test('checks a cached token again when it has expired', async t => {
  const tokens = await createTokenVerifier({ secret })
  // Within the clock tolerance now, outside it in a moment.
  const token = await hs256({ exp: now() - 4 })
  t.match(await tokens.verify(token), { user: 'alice' })
  while (await isAccepted(tokens, token)) await sleep(50)
})

t.test('jwt.clockTolerance decides how long an expired token is valid', async t => {
  const exp = now() - 30
  const token = await hs256({ exp })
  const tolerant = await createTokenVerifier({ secret, clockToleranceMs: 600_000 })
  t.match(await tolerant.verify(token), { user: 'alice', expiresAt: exp })
  const strict = await createTokenVerifier({ secret, clockToleranceMs: 0 })
  await t.rejects(strict.verify(token), refused)
})

const algorithms = ['EdDSA', 'ES256', 'RS256'] as const

const makeKey = async (alg: string, kid: string) => {
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true })
  const jwk: JWK = { ...(await exportJWK(publicKey)), kid, use: 'sig' }
  return { alg, kid, privateKey, publicKey, jwk }
}

const fileOf = (t: Test, keys: readonly JWK[]): string => {
  const file = join(tempFolder(t), 'jwks.json')
  writeFileSync(file, JSON.stringify({ keys }))
  return file
}

t.test('each algorithm of public keys, and each confusion of one with another', async t => {
  const keys = await Promise.all(algorithms.map(alg => makeKey(alg, `key-${alg}`)))
  for (const withAlg of [true, false]) {
    const jwks = keys.map(({ jwk, alg }) => (withAlg ? { ...jwk, alg } : jwk))
    const tokens = await createTokenVerifier({ jwks: fileOf(t, jwks) })
    for (const { alg, kid, privateKey } of keys) {
      t.match(await tokens.verify(await signed(alg, privateKey, {}, { kid })), { user: 'alice' }, alg)
      t.match(await tokens.verify(await signed(alg, privateKey)), { user: 'alice' }, `${alg} without kid`)
      const other = await makeKey(alg, kid)
      await refuses(t, tokens, await signed(alg, other.privateKey, {}, { kid }), /signature/, `forged ${alg}`)
      await refuses(t, tokens, await signed(alg, privateKey, {}, { kid: 'unknown' }), /key is not known/, alg)
      for (const { kid: another } of keys)
        if (another !== kid)
          await refuses(
            t,
            tokens,
            await signed(alg, privateKey, {}, { kid: another }),
            /key is not known/,
            `${alg} with the kid of ${another}`,
          )
      // Keys that the token itself brings.
      const { privateKey: own, publicKey } = other
      const header = { jwk: await exportJWK(publicKey), jku: 'https://evil.example.com/jwks', kid }
      await refuses(t, tokens, await signed(alg, own, {}, header), /signature/, `${alg} with its own key`)
    }
    const [, , rsa] = keys as [unknown, unknown, (typeof keys)[number]]
    const pem = await exportSPKI(rsa.publicKey)
    const { n = '' } = rsa.jwk
    for (const [name, bytes] of Object.entries({
      PEM: encode(pem),
      'PEM without the last line break': encode(pem.trim()),
      modulus: new Uint8Array(Buffer.from(n, 'base64url')),
      JWK: encode(JSON.stringify(rsa.jwk)),
    }))
      for (const alg of ['HS256', 'HS384', 'HS512'])
        await refuses(
          t,
          tokens,
          await signed(alg, bytes, {}, { kid: rsa.kid }),
          /algorithm/,
          `${alg}, ${name}`,
        )
    for (const alg of ['PS256', 'RS512']) {
      const { privateKey } = await generateKeyPair(alg)
      await refuses(t, tokens, await signed(alg, privateKey, {}, { kid: rsa.kid }), /algorithm/, alg)
    }
  }
})

t.test('a secret and a key set verify their own algorithms only', async t => {
  const key = await makeKey('EdDSA', 'e')
  const octet = { kty: 'oct', k: Buffer.from(secret).toString('base64url'), kid: 's', alg: 'HS256' }
  const tokens = await createTokenVerifier({
    jwks: fileOf(t, [key.jwk, octet]),
    secret: 'the secret that is configured, 32 b',
  })
  t.match(await tokens.verify(await signed('EdDSA', key.privateKey, {}, { kid: 'e' })), { user: 'alice' })
  await t.rejects(
    tokens.verify(await signed('HS256', encode(secret), {}, { kid: 's' })),
    refused,
    'a secret key in the key set is not used',
  )
  const withoutSecret = await createTokenVerifier({ jwks: fileOf(t, [key.jwk, octet]) })
  await t.rejects(withoutSecret.verify(await signed('HS256', encode(secret), {}, { kid: 's' })), refused)
})

t.test('another signature of the same token is the same token', async t => {
  // The order of the group of P-256: r and n - s sign what r and s sign.
  const order = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n
  const key = await makeKey('ES256', 'e')
  const tokens = await createTokenVerifier({ jwks: fileOf(t, [key.jwk]) })
  const token = await signed('ES256', key.privateKey)
  const signature = Buffer.from(token.slice(token.lastIndexOf('.') + 1), 'base64url')
  const s = order - BigInt(`0x${signature.subarray(32).toString('hex')}`)
  const other = Buffer.concat([
    signature.subarray(0, 32),
    Buffer.from(s.toString(16).padStart(64, '0'), 'hex'),
  ])
  const twin = token.slice(0, token.lastIndexOf('.') + 1) + other.toString('base64url')
  t.not(twin, token)
  t.equal((await tokens.verify(twin)).token, (await tokens.verify(token)).token)
})

/** A server of key sets; `answer` may be replaced. */
const keyServer = async (t: Test) => {
  const server = { url: '', requests: 0, answer: (() => {}) as RequestListener }
  const http = createServer((request, response) => {
    server.requests++
    server.answer(request, response)
  })
  await new Promise<void>(resolve => http.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    http.closeAllConnections()
    http.close()
  })
  server.url = `http://127.0.0.1:${(http.address() as AddressInfo).port}/jwks`
  return server
}
const serve =
  (keys: readonly JWK[]): RequestListener =>
  (_, response) =>
    void response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ keys }))
const broken: RequestListener = (_, response) => void response.writeHead(500).end('no')
const insecure = { jwksInsecure: true }

t.test('a key set by URL is fetched when needed, and UNAVAILABLE while it cannot be fetched', async t => {
  const key = await makeKey('EdDSA', 'e')
  const server = await keyServer(t)
  const token = await signed('EdDSA', key.privateKey, {}, { kid: 'e' })
  const notices: string[] = []
  const tokens = await createTokenVerifier(
    { jwks: server.url, ...insecure, jwksTimeoutMs: 200, jwksCooldownMs: 0 },
    { onNotice: notice => notices.push(notice) },
  )
  const failing: Record<string, RequestListener> = {
    status: broken,
    redirect: (_, response) => void response.writeHead(302, { location: server.url }).end(),
    'no JSON': (_, response) => void response.writeHead(200).end('{'),
    'no set': (_, response) => void response.writeHead(200).end('{"keys":{}}'),
    'too large': (_, response) =>
      void response.writeHead(200).end(`{"keys":[],"x":"${'x'.repeat(600_000)}"}`),
    silent: () => {},
    'a body without an end': (_, response) => void response.writeHead(200).write('{"keys":['),
    reset: request => void request.socket.destroy(),
  }
  for (const [name, answer] of Object.entries(failing)) {
    server.answer = answer
    const before = notices.length
    while (notices.length === before) {
      await t.rejects(tokens.verify(token), { code: 'UNAVAILABLE' }, name)
      await sleep(50)
    }
    t.match(notices.at(-1), /^the key set of 127\.0\.0\.1:\d+ was not fetched: ./, name)
  }
  server.answer = serve([key.jwk])
  while (!(await isAccepted(tokens, token))) await sleep(50)
  const { requests } = server
  for (let i = 0; i < 5; i++)
    await tokens.verify(await signed('EdDSA', key.privateKey, { n: i }, { kid: 'e' }))
  t.equal(server.requests, requests, 'the set is kept')
})

t.test('tokens do not cause fetches without a bound', async t => {
  const key = await makeKey('EdDSA', 'e')
  const server = await keyServer(t)
  const junk = (i: number) => signed('EdDSA', key.privateKey, {}, { kid: `unknown-${i}` })
  const many = Array.from({ length: 30 }, (_, i) => i)

  server.answer = broken
  const down = await createTokenVerifier({ jwks: server.url, ...insecure })
  for (const i of many) await t.rejects(down.verify(await junk(i)), { code: 'UNAVAILABLE' })
  t.ok(server.requests < many.length / 2, `${server.requests} requests while the server is down`)

  server.answer = serve([key.jwk])
  server.requests = 0
  const up = await createTokenVerifier({ jwks: server.url, ...insecure })
  await up.verify(await signed('EdDSA', key.privateKey, {}, { kid: 'e' }))
  for (const i of many) await t.rejects(up.verify(await junk(i)), refused)
  t.equal(server.requests, 1, 'unknown keys wait for the cooldown after a fetch')

  const noWait = await createTokenVerifier({ jwks: server.url, ...insecure, jwksCooldownMs: 0 })
  server.requests = 0
  const waiting = await Promise.all(many.map(junk))
  await Promise.all(waiting.map(token => t.rejects(noWait.verify(token), refused)))
  t.ok(server.requests <= 3, `${server.requests} requests: tokens at the same time share a fetch`)
})

t.test('a new key of a set is found, a removed one is forgotten, the last set outlives failures', async t => {
  const [old, next] = [await makeKey('ES256', 'old'), await makeKey('ES256', 'next')]
  const server = await keyServer(t)
  server.answer = serve([old.jwk])
  let serial = 0
  /** Each token is a new one, so that the cache of verified tokens has no part in it. */
  const by = ({ privateKey, kid }: typeof old) => signed('ES256', privateKey, { n: ++serial }, { kid })
  const tokens = await createTokenVerifier({
    jwks: server.url,
    ...insecure,
    jwksCooldownMs: 0,
    jwksRefreshMs: 1_000,
  })
  t.same([await isAccepted(tokens, await by(old)), await isAccepted(tokens, await by(next))], [true, false])
  server.answer = serve([old.jwk, next.jwk])
  t.equal(await isAccepted(tokens, await by(next)), true, 'at once')

  server.answer = broken
  const { requests } = server
  while (server.requests < requests + 2) {
    t.equal(await isAccepted(tokens, await by(old)), true, 'while fetches fail')
    await sleep(50)
  }
  t.equal(await isAccepted(tokens, await by(next)), true)

  server.answer = serve([next.jwk])
  while (await isAccepted(tokens, await by(old))) await sleep(50)
  t.equal(await isAccepted(tokens, await by(next)), true)
})

t.test('a key set over http needs jwt.jwksInsecure', async t => {
  await t.rejects(createTokenVerifier({ jwks: 'http://127.0.0.1:1/jwks' }), /jwt\.jwks: must be an https URL/)
  await t.resolves(createTokenVerifier({ jwks: 'https://127.0.0.1:1/jwks' }))
})

t.test('keys without kid are found when only one fits', async t => {
  const key = await makeKey('ES256', 'e')
  const { kid: _, ...nameless } = key.jwk
  const tokens = await createTokenVerifier({ jwks: fileOf(t, [nameless]) })
  t.match(await tokens.verify(await signed('ES256', key.privateKey)), { user: 'alice' })
  const other = await makeKey('ES256', 'f')
  const two = await createTokenVerifier({ jwks: fileOf(t, [key.jwk, other.jwk]) })
  await refuses(t, two, await signed('ES256', key.privateKey), /key is not known/, 'two fit')
})

t.test('refuses a file that is not a key set', async t => {
  const file = join(tempFolder(t), 'jwks.json')
  writeFileSync(file, 'no JSON')
  await t.rejects(createTokenVerifier({ jwks: file }), /is not a JSON Web Key Set/)
  await t.rejects(createTokenVerifier({ jwks: join(tempFolder(t), 'missing') }), { code: 'ENOENT' })
})

/** Claims of all forms: texts, ids, texts near ids, and escaped forms. */
const claims = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 70 }),
  fc.stringMatching(/^[A-Za-z0-9_-]{1,66}$/),
  fc.stringMatching(/^--[a-c_|@-]{0,4}(-[0-9a-f]{2}|-[0-9A-F]{2}|x){0,6}$/),
  fc.constantFrom(
    'auth0|x',
    'alice@example.com',
    '--auth0-7cx',
    '--auth0-7Cx',
    '--alice',
    '--',
    '-',
    'ä',
    '\ufeffx',
  ),
)

t.test('user ids of claims: legal ones stay, no two claims share one, each leads back', async t => {
  fc.assert(
    fc.property(claims, claims, (one, two) => {
      const [first, second] = [userIdOfClaim(one), userIdOfClaim(two)]
      if (first === undefined) return
      if (!isId(first)) throw new Error(`${first} is not an id`)
      if (isId(one) && first !== one) throw new Error(`${one} changed`)
      if (claimOfUserId(first) !== one) throw new Error(`${first} leads back to ${claimOfUserId(first)}`)
      if (one !== two && first === second) throw new Error(`${one} and ${two} share ${first}`)
    }),
    { numRuns: 20_000 },
  )
  t.equal(userIdOfClaim('auth0|x'), '--auth0-7cx')
  t.equal(claimOfUserId('--auth0-7cx'), 'auth0|x')
  t.equal(userIdOfClaim('--auth0-7cx'), undefined, 'reserved for auth0|x')
  for (const id of ['alice', '--alice', '--auth0-7Cx', '--a-62', '--ff-ff', '--', '-'])
    t.equal(userIdOfClaim(id), id, id)
})

t.test('a claim and its escaped form as a claim never share a user', async t => {
  const property = fc.property(claims, claim => {
    const user = userIdOfClaim(claim)
    return user === undefined || user === claim || userIdOfClaim(user) === undefined
  })
  t.equal(fc.check(property, { numRuns: 20_000 }).counterexample, null)
})

t.test('the client library escapes as the server does', async t => {
  const property = fc.property(
    claims,
    claim =>
      clientIds.userIdOfClaim(claim) === userIdOfClaim(claim) &&
      clientIds.claimOfUserId(claim) === claimOfUserId(claim),
  )
  t.equal(fc.check(property, { numRuns: 5_000 }).counterexample, null)
})
