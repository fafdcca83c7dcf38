import { writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import type { TlsFiles } from '../../../src/base/tls-files.ts'
import { connectDriver } from '../../../src/infra/cassandra/database.ts'
import { checkServer, connect as connectElasticsearch } from '../../../src/infra/elasticsearch/connect.ts'
import { compileOptions } from '../../../src/infra/elasticsearch/elasticsearch-options.ts'
import { connectNats } from '../../../src/infra/nats/client/connection.ts'
import { S3Media } from '../../../src/infra/s3/index.ts'
import { early, expired, testAuthority } from '../../harness/certificates.ts'
import { startNats } from '../../harness/nats.ts'
import { newBucket } from '../../harness/s3-bucket.ts'
import { service } from '../../harness/service.ts'
import { startTlsProxy } from '../../harness/tls-proxy.ts'

const authority = await testAuthority(t)
const foreign = await testAuthority(t, 'another CA')
const { caFile } = authority
const filesOf = ({ certFile, keyFile }: { certFile: string; keyFile: string }) => ({ certFile, keyFile })
const own = filesOf(await authority.client('edge'))

/** Connects with these files to a server that requires client certificates, and uses the connection. */
type Use = (files: TlsFiles) => Promise<unknown>

/** Files that each store must refuse. The peer refuses the certificates; what is wrong in itself is refused here. */
const refused: readonly (readonly [name: string, files: TlsFiles, message?: RegExp])[] = [
  ['no client certificate', { caFile }],
  ['the certificate of a server', { caFile, ...filesOf(await authority.server()) }],
  ['a client certificate of another authority', { caFile, ...filesOf(await foreign.client('edge')) }],
  ['an unknown authority', { caFile: foreign.caFile, ...own }],
  ['no authority', own],
  [
    'an expired certificate',
    { caFile, ...filesOf(await authority.client('old', expired())) },
    /^\w+\.tls\.cert: .+ expired at /,
  ],
  [
    'a certificate of the future',
    { caFile, ...filesOf(await authority.client('early', early())) },
    /is valid from .+ only/,
  ],
]

const accepts = async (t: Test, use: Use): Promise<void> => {
  await t.resolves(use({ caFile, ...own }))
  for (const [name, files, message] of refused) {
    const error: unknown = await use(files).then(
      () => undefined,
      reason => reason,
    )
    t.ok(error instanceof Error, name)
    if (message !== undefined) t.match(error, { code: 'TLS_EXPIRED', message }, name)
  }
}

t.test('NATS: mutual TLS with a server that verifies its clients', async t => {
  const { certFile, keyFile } = await authority.server()
  const quoted = [certFile, keyFile, caFile].map(file => JSON.stringify(file))
  const nats = await startNats(t, {
    streams: false,
    more: `tls { cert_file: ${quoted[0]}, key_file: ${quoted[1]}, ca_file: ${quoted[2]}, verify: true }`,
  })
  const servers = nats.url.replace('127.0.0.1', 'localhost')
  await accepts(t, async tls => {
    const { connection, close } = await connectNats({ servers, tls })
    try {
      const answered = connection.subscribe('ping', {
        max: 1,
        callback: (_, msg) => void msg.respond('pong'),
      })
      t.equal((await connection.request('ping')).string(), 'pong')
      await answered.closed
    } finally {
      await close()
    }
  })
})

t.test('NATS: the options of TLS refuse a server without TLS, whatever the URL', async t => {
  const nats = await startNats(t, { streams: false })
  await t.rejects(connectNats({ servers: nats.url, tls: { caFile } }), { code: 'NATS_SERVER_FAILED' })
})

t.test('NATS: the certificate names the host or the address of the URL', async t => {
  const startWith = async (hosts: readonly string[]): Promise<string> => {
    const { certFile, keyFile } = await authority.server({ hosts })
    const [cert, key] = [certFile, keyFile].map(file => JSON.stringify(file))
    const nats = await startNats(t, { streams: false, more: `tls { cert_file: ${cert}, key_file: ${key} }` })
    return nats.url
  }
  const [byName, byAddress] = [await startWith(['localhost']), await startWith(['127.0.0.1'])]
  const named = (url: string): string => url.replace('127.0.0.1', 'localhost')
  const connectTo = async (servers: string): Promise<void> => {
    await (await connectNats({ servers, tls: { caFile } })).close()
  }
  await t.resolves(connectTo(named(byName)))
  await t.resolves(connectTo(byAddress))
  await t.rejects(connectTo(byName), /does not match certificate/, 'another name')
  await t.rejects(connectTo(named(byAddress)), /does not match certificate/, 'another address')
})

t.test('NATS: renewed files are used with the next connection', async t => {
  const { certFile, keyFile } = await authority.server()
  const quoted = [certFile, keyFile, caFile].map(file => JSON.stringify(file))
  const nats = await startNats(t, {
    streams: false,
    more: `tls { cert_file: ${quoted[0]}, key_file: ${quoted[1]}, ca_file: ${quoted[2]}, verify: true }`,
  })
  const servers = nats.url.replace('127.0.0.1', 'localhost')
  const before = await authority.client('edge')
  const { connection, close, onChange } = await connectNats({ servers, tls: { caFile, ...filesOf(before) } })
  t.teardown(close)
  const after = await foreign.client('edge')
  writeFileSync(before.keyFile, after.key)
  writeFileSync(before.certFile, after.cert)
  let isBack = false
  onChange(isConnected => {
    isBack = isConnected
  })
  // The new certificate is of an authority that the server does not know, until the server learns it.
  await nats.kill9()
  writeFileSync(caFile, `${authority.ca}${foreign.ca}`)
  await nats.restart()
  while (!isBack) await sleep(20)
  t.ok((await connection.rtt()) >= 0)
  writeFileSync(caFile, authority.ca)
})

t.test('Cassandra: mutual TLS', async t => {
  const found = await service(t, 'cassandra')
  if (found === undefined) return
  const port = await startTlsProxy(t, authority, found)
  await accepts(t, async files => {
    const client = await connectDriver({
      contactPoints: [`127.0.0.1:${port}`],
      dataCenter: 'datacenter1',
      keyspace: 'confab',
      tls: true,
      ...files,
    })
    try {
      t.equal((await client.execute('SELECT key FROM system.local')).rowLength, 1)
    } finally {
      await client.shutdown()
    }
  })
})

t.test('Elasticsearch: mutual TLS', async t => {
  const found = await service(t, 'elasticsearch')
  if (found === undefined) return
  const port = await startTlsProxy(t, authority, found)
  await accepts(t, async files => {
    const client = connectElasticsearch(compileOptions({ nodes: [`https://localhost:${port}`], ...files }))
    try {
      await checkServer(client)
    } finally {
      await client.close()
    }
  })
})

t.test('S3: mutual TLS', async t => {
  const found = await service(t, 's3')
  const options = await newBucket(t)
  if (found === undefined || options === undefined) return
  const port = await startTlsProxy(t, authority, found)
  await accepts(t, async files => {
    const store = new S3Media({ ...options, endpoint: `https://localhost:${port}`, ...files })
    try {
      await store.put('uploads/A/facts', new Uint8Array([1]))
      t.same(await store.get('uploads/A/facts'), new Uint8Array([1]))
    } finally {
      store.close()
    }
  })
  const store = new S3Media({ ...options, endpoint: `https://localhost:${port}`, ...own })
  t.teardown(() => store.close())
  await t.rejects(store.check(), {
    code: 'MEDIA_STORE_FAILED',
    message: /TLS with S3 .+ check the options of s3\.tls/,
  })
})
