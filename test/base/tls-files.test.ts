import { execFileSync } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { readTlsFiles, TlsError, type TlsFiles } from '../../src/base/tls-files.ts'
import { early, expired, testAuthority } from '../harness/certificates.ts'
import { tempFolder } from '../harness/temp-folder.ts'

const authority = await testAuthority(t)
const { caFile } = authority
const good = await authority.server()
const other = await authority.server()
const old = await authority.server(expired())
const future = await authority.server(early())
const folder = tempFolder(t)
const file = (name: string, content: string | Buffer): string => {
  const path = join(folder, name)
  writeFileSync(path, content)
  return path
}
const { certFile, keyFile } = good

const encrypted = (type: 'pkcs8' | 'sec1'): string =>
  generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({
    type,
    format: 'pem',
    cipher: 'aes-256-cbc',
    passphrase: 'secret',
  }) as string
const der = Buffer.from(good.cert.replaceAll(/-----[A-Z ]+-----|\s/g, ''), 'base64')
const damaged = good.cert.replace(/M[A-Za-z0-9+/]{20}/, 'AAAAAAAAAAAAAAAAAAAAA')

/** Wrong files, with the code and a part of the message. */
const wrong: readonly (readonly [name: string, files: TlsFiles, code: string, message: RegExp])[] = [
  [
    'a missing certificate',
    { certFile: join(folder, 'none.pem'), keyFile },
    'TLS_FILE',
    /x\.tls\.cert: .+none\.pem: the file does not exist/,
  ],
  [
    'a missing key',
    { certFile, keyFile: join(folder, 'none.pem') },
    'TLS_FILE',
    /x\.tls\.key: .+ does not exist/,
  ],
  ['a missing authority', { caFile: join(folder, 'none.pem') }, 'TLS_FILE', /x\.tls\.ca: .+ does not exist/],
  [
    'a missing authority of clients',
    { certFile, keyFile, clientCaFile: '/none' },
    'TLS_FILE',
    /x\.tls\.clientCa: /,
  ],
  ['a folder', { certFile: folder, keyFile }, 'TLS_FILE', /this is a folder/],
  ['an empty file', { certFile: file('empty.pem', ''), keyFile }, 'TLS_FILE', /no certificate in PEM/],
  ['a certificate in DER', { certFile: file('cert.der', der), keyFile }, 'TLS_FILE', /no certificate in PEM/],
  ['a damaged certificate', { certFile: file('damaged.pem', damaged), keyFile }, 'TLS_FILE', /is damaged/],
  [
    'a truncated certificate',
    { certFile: file('half.pem', good.cert.slice(0, 300)), keyFile },
    'TLS_FILE',
    /no certificate in PEM/,
  ],
  ['a key as certificate', { certFile: keyFile, keyFile }, 'TLS_FILE', /a private key, not a certificate/],
  ['a certificate as key', { certFile, keyFile: certFile }, 'TLS_FILE', /a certificate, not a private key/],
  ['text as key', { certFile, keyFile: file('text.pem', 'key') }, 'TLS_FILE', /no private key in PEM/],
  [
    'a damaged key',
    { certFile, keyFile: file('damaged-key.pem', good.key.replace(/\nM.{30}/, '\nAAAA')) },
    'TLS_FILE',
    /private key in the file is damaged/,
  ],
  [
    'an encrypted key',
    { certFile, keyFile: file('secret.pem', encrypted('pkcs8')) },
    'TLS_KEY',
    /the key is encrypted/,
  ],
  [
    'an encrypted key of the older form',
    { certFile, keyFile: file('sec1.pem', encrypted('sec1')) },
    'TLS_KEY',
    /the key is encrypted/,
  ],
  [
    'the key of another certificate',
    { certFile, keyFile: other.keyFile },
    'TLS_KEY',
    /not the key of the certificate in/,
  ],
  [
    'the chain in the wrong order',
    { certFile: file('chain.pem', authority.ca + good.cert), keyFile },
    'TLS_KEY',
    /must be the first in/,
  ],
  ['a certificate without a key', { certFile }, 'TLS_KEY', /set x\.tls\.key too/],
  ['a key without a certificate', { keyFile }, 'TLS_KEY', /set x\.tls\.cert too/],
  [
    'an expired certificate',
    { certFile: old.certFile, keyFile: old.keyFile },
    'TLS_EXPIRED',
    /expired at \d{4}-\d\d-\d\dT[\d:]+Z: renew it/,
  ],
  [
    'a certificate of the future',
    { certFile: future.certFile, keyFile: future.keyFile },
    'TLS_EXPIRED',
    /check the clock/,
  ],
  ['an expired authority', { caFile: old.certFile }, 'TLS_EXPIRED', /x\.tls\.ca: .+ expired/],
]

t.test('wrong files have a code, and a message that names option and file, and shows no key', async t => {
  const keys = [good.key, other.key].flatMap(key =>
    key.split('\n').filter(line => line.length > 20 && !line.startsWith('-')),
  )
  for (const [name, files, code, message] of wrong)
    try {
      readTlsFiles('x', files)
      t.fail(`${name} is accepted`)
    } catch (error) {
      t.ok(TlsError.is(error), name)
      t.match(error, { code, message }, name)
      t.ok(
        keys.every(line => !String(error).includes(line)),
        name,
      )
    }
})

t.test(
  'a file that the process may not read',
  { skip: process.getuid?.() === 0 ? 'root may read every file' : false },
  async t => {
    const path = file('closed.pem', good.key)
    chmodSync(path, 0)
    t.throws(() => readTlsFiles('x', { certFile, keyFile: path }), {
      code: 'TLS_FILE',
      message: /no permission/,
    })
  },
)

t.test('files that TLS accepts', async t => {
  t.same(readTlsFiles('x', {}), { certificates: [] })
  const chain = file('good-chain.pem', `a comment\r\n${good.cert}${authority.ca}`)
  const read = readTlsFiles('x', { caFile, certFile: chain, keyFile, clientCaFile: caFile })
  t.match(read, { ca: authority.ca, key: good.key, clientCa: authority.ca })
  t.same(
    read.certificates.map(({ option }) => option),
    ['x.tls.ca', 'x.tls.cert', 'x.tls.clientCa'],
  )
  const rolled = file('two-authorities.pem', readFileSync(old.certFile, 'utf8') + authority.ca)
  const [used] = readTlsFiles('x', { caFile: rolled }).certificates
  t.ok(used!.expiresAt > Date.now(), 'an old authority may remain in the file')

  mkdirSync(join(folder, 'rsa'))
  const [key, cert] = ['key.pem', 'cert.pem'].map(name => join(folder, 'rsa', name)) as [string, string]
  execFileSync(
    'openssl',
    [
      'req',
      '-x509',
      '-newkey',
      'rsa:2048',
      '-nodes',
      '-days',
      '2',
      '-subj',
      '/CN=x',
      '-keyout',
      key,
      '-out',
      cert,
    ],
    { stdio: 'pipe' },
  )
  t.equal(readTlsFiles('x', { certFile: cert, keyFile: key }).certificates.length, 1, 'RSA')
})
