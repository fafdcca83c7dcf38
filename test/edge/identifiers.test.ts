import type { TemplatedApp } from 'uWebSockets.js'
import { connect } from 'node:net'
import type { TSchema } from '@sinclair/typebox'
import t, { type Test } from 'tap'
import { Hello, Id, Requests, subjectOf, userIdOfClaim } from '../../src/events/index.ts'
import { signDevToken } from '../../src/infra/tokens/index.ts'
import { loadUws } from '../../src/infra/uws/index.ts'
import { startConfab } from '../harness/confab.ts'
import { causedByClients, recordSubjects } from '../harness/nats-requests.ts'

/** Values that are no id and have a meaning in a subject, a path, a key or a query. */
const values: readonly (readonly [name: string, value: string])[] = [
  ['a wildcard', '*'],
  ['a wildcard for the rest', '>'],
  ['two tokens', 'a.b'],
  ['an id and a wildcard', 'tea.*'],
  ['the folder above', '..'],
  ['an escaped folder above', '%2e%2e'],
  ['an escaped slash', 'a%2fb'],
  ['a name of a prototype with a dot', '__proto__.x'],
  ['64 characters and one more', 'a'.repeat(65)],
  ['4 kB', 'a'.repeat(3_500)],
  ['4 kB of bytes 0xFF', '\xff'.repeat(2_000)],
  ['a byte 0xFF', '\xff'],
  ['an accent', 'é'],
  ['a dollar', '$JS.API.>'],
]
/** Values that cannot be in a path. */
const onlyInFields: readonly (readonly [name: string, value: string])[] = [
  ['nothing', ''],
  ['NUL', '\0'],
  ['an id and NUL', 'tea\0'],
  ['a blank', ' '],
  ['an id and a blank', 'tea '],
  ['an id and a line feed', 'tea\n'],
  ['a protocol line', 'tea\r\nPUB x 0\r\n\r\n'],
  ['a slash', 'a/b'],
  ['half of a surrogate pair', '\ud800'],
]

/** The routes of the edge, as it registers them at the transport. */
const routes: (readonly [method: string, pattern: string])[] = []
const methods = ['get', 'head', 'post', 'put', 'del', 'patch'] as const
const uws = loadUws()
const recordingApp = (): TemplatedApp => {
  const app = uws.App()
  for (const method of methods) {
    const register = app[method].bind(app)
    app[method] = (pattern, handler) => {
      routes.push([method.toUpperCase(), String(pattern)])
      return register(pattern, handler)
    }
  }
  return app
}

const confab = await startConfab(t, {
  edge: {
    uws: { ...uws, App: recordingApp },
    signDevToken: user => signDevToken(confab.secret, user),
  },
  limits: { userRequests: 0, userBytes: 0, socketRequests: 0, socketBytes: 0 },
})
const alice = await confab.connect('alice')
await alice.ok('create', { c: 'tea', kind: 'group', members: ['bob'] })
await alice.ok('send', { c: 'tea', m: 'm1', text: 'hello' })
await alice.event('tea', 2)
await alice.ok('inbox')
const token = await confab.token('alice')
let disconnects = 0
confab.connection.onChange(() => disconnects++)

/** Sends bytes on a connection of its own. Resolves with the status and the code of the answer. */
const ask = (method: string, path: string, as = token): Promise<string> =>
  new Promise((resolve, reject) => {
    const head = `${method} ${path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${as}\r\nConnection: close\r\n\r\n`
    const socket = connect(confab.edge.port, '127.0.0.1', () => socket.write(Buffer.from(head, 'latin1')))
    let received = ''
    socket.on('data', data => {
      received += data.toString('latin1')
    })
    socket.on('error', reject)
    socket.on('close', () => {
      const status = /^HTTP\/1\.1 (\d+)/.exec(received)?.[1]
      const code = /"code":"(\w+)"/.exec(received)?.[1]
      resolve(code === undefined ? `${status}` : `${status} ${code}`)
    })
  })

/** Runs requests. Fails when they asked NATS for anything, ended its connection, or wrote to the log. */
const expectNothingAsked = async (t: Test, run: () => Promise<void>): Promise<void> => {
  const recorded = recordSubjects(confab.connection)
  await run()
  t.same(causedByClients(recorded.subjects), [], 'nothing was asked')
  recorded.stop()
  t.equal(disconnects, 0, 'the connection to NATS stays')
  t.equal((await alice.ok('history', { c: 'tea' })).head, 2, 'nothing was written')
}

t.test('every path with a parameter: NOT_FOUND for what is no id, and nothing is asked', async t => {
  const withParameters = routes.filter(([, pattern]) => pattern.includes('/:'))
  t.ok(withParameters.length >= 6, JSON.stringify(withParameters))
  await expectNothingAsked(t, async () => {
    for (const [method, pattern] of withParameters)
      for (const parameter of pattern.match(/:\w+/g) ?? [])
        for (const [name, value] of values) {
          const path = pattern.replaceAll(/:\w+/g, each => (each === parameter ? value : 'unknown'))
          const expected = method === 'HEAD' ? '404' : '404 NOT_FOUND'
          t.equal(await ask(method, path), expected, `${method} ${pattern}, ${parameter}: ${name}`)
        }
  })
})

/** Fields that are no id, with a valid value. */
const texts: Readonly<Record<string, unknown>> = {
  name: 'a.txt',
  type: 'text/plain',
  sha256: 'a'.repeat(64),
  size: 1,
  emoji: '👀',
  title: 'Title',
}

/** Returns a value that matches a schema. */
const valid = (schema: TSchema, name = ''): unknown => {
  if (schema.const !== undefined) return schema.const
  if (schema.anyOf !== undefined) return valid(schema.anyOf[0])
  if (name in texts) return texts[name]
  if (schema.type === 'boolean') return true
  if (schema.type === 'integer') return schema.minimum ?? 1
  if (schema.type === 'array') return [valid(schema.items)]
  if (schema.patternProperties !== undefined) return { tea: 1 }
  if (schema.type === 'object')
    return Object.fromEntries(
      Object.entries(schema.properties as Record<string, TSchema>)
        .filter(([field]) => schema.required?.includes(field) && field !== 'id' && field !== 't')
        .map(([field, its]) => [field, valid(its, field)]),
    )
  return 'tea'
}

interface IdField {
  /** JSON pointer of the field in an error. */
  readonly field: string
  /** Returns the request's fields with another value for this one. */
  readonly put: (value: string) => Record<string, unknown>
}

/** Returns all fields of a schema that are ids, or maps or lists of ids. */
const idFields = (schema: TSchema, base: Record<string, unknown>): IdField[] => {
  const found: IdField[] = []
  for (const [name, its] of Object.entries(schema.properties as Record<string, TSchema>)) {
    const isMap = its.patternProperties !== undefined
    if (its.pattern === Id.pattern)
      found.push({ field: `/${name}`, put: value => ({ ...base, [name]: value }) })
    else if (isMap) found.push({ field: `/${name}`, put: value => ({ ...base, [name]: { [value]: 1 } }) })
    else if (its.type === 'array')
      if (its.items.pattern === Id.pattern)
        found.push({ field: `/${name}/0`, put: value => ({ ...base, [name]: [value] }) })
      else
        for (const inner of idFields(its.items, valid(its.items) as Record<string, unknown>))
          found.push({
            field: `/${name}/0${inner.field}`,
            put: value => ({ ...base, [name]: [inner.put(value)] }),
          })
  }
  return found
}

t.test('every field of a request that is an id: BAD_REQUEST that names it, and nothing is asked', async t => {
  let count = 0
  await expectNothingAsked(t, async () => {
    for (const [type, schema] of Object.entries(Requests))
      for (const { field, put } of idFields(schema, valid(schema) as Record<string, unknown>)) {
        count++
        for (const [name, value] of [...values, ...onlyInFields]) {
          const { error } = await alice.request(type, put(value))
          t.match(error, { code: 'BAD_REQUEST', field }, `${type} ${field}: ${name}`)
        }
      }
  })
  t.ok(count > 50, `${count} fields`)
})

t.test('the same in hello', async t => {
  const socket = await confab.socket()
  const fields = idFields(Hello, { t: 'hello' })
  t.ok(fields.length >= 1)
  await expectNothingAsked(t, async () => {
    for (const { field, put } of fields)
      for (const [name, value] of [...values, ...onlyInFields]) {
        const { error } = await socket.request('hello', put(value))
        t.match(error, { code: 'BAD_REQUEST', field }, `${field}: ${name}`)
      }
  })
})

t.test('the same in the queries of HTTP', async t => {
  const paths = {
    history: '/v1/conversations/tea/events',
    inbox: '/v1/inbox',
    undelivered: '/v1/undelivered',
    search: '/v1/search',
  } as const
  await expectNothingAsked(t, async () => {
    for (const [type, path] of Object.entries(paths))
      for (const { field, put } of idFields(Requests[type as keyof typeof paths], {})) {
        const name = field.slice(1)
        if (type === 'history' && name === 'c') continue
        for (const [what, value] of [...values, ...onlyInFields]) {
          // The transport refuses longer lines.
          if (encodeURIComponent(value.toWellFormed()).length > 4_000) continue
          const given = put(value)[name]
          const text = typeof given === 'string' ? given : `${value}:1`
          const query = new URLSearchParams({ ...(type === 'search' ? { q: 'x' } : {}), [name]: text })
          t.equal(await ask('GET', `${path}?${query}`), '400 BAD_REQUEST', `${type} ${field}: ${what}`)
        }
      }
  })
})

const claims = [...values, ...onlyInFields].filter(([, value]) => value.length < 1_000)

t.test('a token whose claim has no user id is not valid', async t => {
  const without = claims.filter(([, claim]) => userIdOfClaim(claim) === undefined)
  t.ok(without.length >= 3, JSON.stringify(without))
  await expectNothingAsked(t, async () => {
    for (const [name, claim] of without) {
      const forged = await signDevToken(confab.secret, claim)
      t.equal(await ask('GET', '/v1/inbox', forged), '401 UNAUTHENTICATED', name)
      const socket = await confab.socket()
      t.match((await socket.request('hello', { token: forged })).error, { code: 'UNAUTHENTICATED' }, name)
    }
  })
})

t.test('a token whose claim is no id: only the escaped user id reaches NATS', async t => {
  const recorded = recordSubjects(confab.connection)
  for (const [name, claim] of claims) {
    const user = userIdOfClaim(claim)
    if (user === undefined) continue
    const signed = await signDevToken(confab.secret, claim)
    t.equal(await ask('GET', '/v1/inbox', signed), '200', name)
    const socket = await confab.socket()
    t.match(await socket.request('hello', { token: signed }), { ok: true, user }, name)
    t.match(await socket.request('privacy', { lastSeen: 'nobody' }), { ok: true }, name)
    socket.close()
    t.ok(recorded.subjects.includes(subjectOf({ family: 'user', id: user })), name)
  }
  recorded.stop()
  for (const subject of causedByClients(recorded.subjects)) t.match(subject, /^[\w$-]+(\.[\w-]+)+$/)
  t.equal(disconnects, 0, 'the connection to NATS stays')
})

t.test('a development token is for an id', async t => {
  await expectNothingAsked(t, async () => {
    for (const [name, value] of claims) {
      const path = `/v1/dev/token?user=${encodeURIComponent(value.toWellFormed())}`
      t.equal(await ask('GET', path), '400 BAD_REQUEST', name)
    }
  })
})
