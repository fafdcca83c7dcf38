import { execFile, execFileSync } from 'node:child_process'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { connectNats } from '../../../src/infra/nats/client/connection.ts'
import { startNats } from '../../harness/nats.ts'
import { tempFolder } from '../../harness/temp-folder.ts'

const run = promisify(execFile)
const withTls = (url: string): string => url.replace('nats://', 'tls://')

t.test('tls:// refuses a server that offers no TLS', async t => {
  const nats = await startNats(t, { streams: false })
  await t.rejects(connectNats({ servers: withTls(nats.url) }), {
    code: 'NATS_SERVER_FAILED',
    message: /does not support 'tls'/,
  })
  t.ok((await nats.connect()).connected(), 'nats:// is accepted')
})

t.test('tls:// accepts the certificates that Node trusts, and no others', async t => {
  const [key, cert] = ['key.pem', 'cert.pem'].map(name => join(tempFolder(t), name)) as [string, string]
  execFileSync(
    'openssl',
    ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2']
      .concat(['-subj', '/CN=nats', '-addext', 'subjectAltName=DNS:localhost'])
      .concat(['-keyout', key, '-out', cert]),
    { stdio: 'pipe' },
  )
  const nats = await startNats(t, {
    streams: false,
    more: `tls { cert_file: ${JSON.stringify(cert)}, key_file: ${JSON.stringify(key)} }`,
  })
  const url = withTls(nats.url).replace('127.0.0.1', 'localhost')
  await t.rejects(
    connectNats({ servers: url }),
    { code: 'NATS_SERVER_FAILED', message: /self-signed certificate/ },
    'an unknown authority',
  )

  // Node reads NODE_EXTRA_CA_CERTS when it starts, so this needs another process.
  const connection = resolve(import.meta.dirname, '../../../src/infra/nats/client/connection.ts')
  const script = `
    const { connectNats } = await import(${JSON.stringify(connection)})
    const nats = await connectNats({ servers: ${JSON.stringify(url)} })
    console.log(nats.connection.info.tls_required)
    await nats.close()`
  const { stdout } = await run(process.execPath, ['--input-type=module', '-e', script], {
    env: { PATH: process.env.PATH, NODE_EXTRA_CA_CERTS: cert },
  })
  t.equal(stdout.trim(), 'true')
})
