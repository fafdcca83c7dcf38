import { readFileSync, writeFileSync } from 'node:fs'
import { connect as connectPlain } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect as connectTls } from 'node:tls'
import t, { type Test } from 'tap'
import { connectNats } from '../../../src/infra/nats/client/connection.ts'
import { findNatsServer } from '../../../src/infra/nats/embedded/nats-binary.ts'
import { spawnServer } from '../../../src/infra/nats/embedded/server-process.ts'
import { loadStreams } from '../../../src/infra/nats/log/streams.ts'
import { checkRights, rightsFinding } from '../../../src/infra/nats/rights/check-rights.ts'
import { covers } from '../../../src/infra/nats/rights/own-rights.ts'
import {
  dangerousSubjects,
  type NatsUser,
  natsUsers,
  rightsOf,
} from '../../../src/infra/nats/rights/rights.ts'
import { testAuthority } from '../../harness/certificates.ts'
import { type NatsSetup, type SetupUser, startSetup } from '../../harness/nats-setup.ts'
import { inboxPrefixOf, passwordOf } from '../../harness/nats-users.ts'
import { tempFolder } from '../../harness/temp-folder.ts'

const streams = loadStreams()
/** The name of a user in certificates. */
const certified = (user: NatsUser): SetupUser => (user === 'server' ? 'several-roles' : user)
const readFile = (path: string): string => readFileSync(path, 'utf8')
const exampleOf = (pattern: string): string => pattern.replaceAll('*', 'x').replaceAll('>', 'x')

const until = async (holds: () => boolean | Promise<boolean>): Promise<void> => {
  while (!(await holds())) await sleep(20)
}

const filesOf = (setup: NatsSetup, name: string) => ({
  caFile: setup.certificate('ca'),
  certFile: setup.certificate(name),
  keyFile: setup.certificate(`${name}-key`),
})

t.test('one server: each user by its certificate alone', async t => {
  const setup = await startSetup(t, 'single')
  const servers = setup.environment('operator').CONFAB_NATS ?? ''
  t.equal((await setup.operate('streams', 'apply')).code, 0)

  await t.test('each user has its rights, and no others', async t => {
    const subjects = [
      ...new Set([
        ...natsUsers.filter(user => user !== 'operator').flatMap(user => rightsOf(user, streams).publish),
        ...dangerousSubjects(streams),
      ]),
    ]
    for (const user of natsUsers) {
      const refused = new Set<string>()
      const nats = await setup.connectAs(certified(user), {
        onRefusal: ({ subject }) => refused.add(subject),
      })
      t.equal(nats.user, certified(user), 'errors name the user of the certificate')
      if (user === 'operator') {
        t.same(await rightsFinding(nats), { rights: 'all', excess: '' })
        continue
      }
      const { publish, subscribe } = rightsOf(user, streams)
      t.same(await rightsFinding(nats), { rights: 'few', excess: '' })
      const others = subjects.map(exampleOf).filter(one => !publish.some(pattern => covers(pattern, one)))
      t.ok(others.length > 20, `${user}: ${others.length} subjects of others`)
      for (const subject of others) nats.connection.publish(subject, '')
      const foreign = natsUsers
        .filter(other => other !== user)
        .map(inboxPrefixOf)
        .map(prefix => `${prefix}.>`)
      for (const subject of foreign) nats.subscribe(subject, () => t.fail(`${user} reads ${subject}`))
      for (const subject of subscribe) nats.subscribe(subject, () => {})
      await until(() => refused.size >= Math.min(100, others.length + foreign.length))
      t.ok(
        [...refused].every(one => others.includes(one) || foreign.includes(one)),
        user,
      )
    }
    const roles = ['edge', 'commands', 'projections'] as const
    for (const role of roles) {
      for (const user of [role, 'several-roles', 'operator'] as const)
        await t.resolves(checkRights(await setup.connectAs(user), [role]), `${user} as ${role}`)
      for (const user of roles.filter(other => other !== role))
        await t.rejects(
          checkRights(await setup.connectAs(user), [role]),
          { code: 'NATS_RIGHTS', message: new RegExp(`the NATS user ${user} lacks rights`) },
          `${user} as ${role}`,
        )
    }
  })

  await t.test('a password is refused, and does not replace the certificate', async t => {
    const url = servers.replace('tls://', `tls://operator:${passwordOf('operator')}@`)
    await t.rejects(setup.connectAs('analyst', { servers: url }), {
      code: 'NATS_RIGHTS',
      message: /refuses the credentials: correct user and password/,
    })
  })

  await t.test('TLS 1.3 only', async t => {
    const offer = (version: 'TLSv1.2' | 'TLSv1.3'): Promise<string | null> =>
      new Promise((resolve, reject) => {
        const plain = connectPlain(setup.ports[0]!.client, '127.0.0.1')
        // A server of NATS greets its clients before the handshake.
        plain.once('data', () => {
          const [ca, cert, key] = ['ca', 'edge', 'edge-key'].map(name => readFile(setup.certificate(name)))
          const socket = connectTls(
            { socket: plain, host: '127.0.0.1', ca, cert, key, minVersion: 'TLSv1.2', maxVersion: version },
            () => {
              resolve(socket.getProtocol())
              socket.destroy()
            },
          )
          socket.once('error', reject)
        })
      })
    t.equal(await offer('TLSv1.3'), 'TLSv1.3')
    await t.rejects(offer('TLSv1.2'), /protocol version/)
  })

  await t.test('other clients are refused', async t => {
    const foreign = await testAuthority(t, 'confab CA')
    const { certFile, keyFile } = await foreign.client('edge')
    const caFile = setup.certificate('ca')
    await t.rejects(
      connectNats({ servers, tls: { caFile } }),
      { code: 'NATS_SERVER_FAILED' },
      'no certificate',
    )
    await t.rejects(
      connectNats({ servers, tls: { caFile, certFile, keyFile } }),
      { code: 'NATS_SERVER_FAILED' },
      'another authority of the same name',
    )
    await t.rejects(
      connectNats({ servers, tls: filesOf(setup, 'server') }),
      { code: 'NATS_SERVER_FAILED' },
      'the certificate of a listener',
    )
    await t.rejects(
      connectNats({ servers, tls: filesOf(setup, 'nats') }),
      {
        code: 'NATS_RIGHTS',
        message: /has no user for the certificate of nats in .+nats\.pem: use that of a user/,
      },
      'the certificate of a NATS server',
    )
    const plain = servers.replace('tls://', 'nats://')
    await t.rejects(connectNats({ servers: plain }), { code: 'NATS_SERVER_FAILED' }, 'plain text')
    await t.rejects(
      connectNats({ servers: plain.replace('nats://', `nats://edge:${passwordOf('edge')}@`) }),
      { code: 'NATS_SERVER_FAILED' },
      'plain text with a password',
    )
  })
})

/** Opens a connection with TLS to a port of a NATS server, sends a line, and resolves with what the server sends. */
const send = (setup: NatsSetup, port: number, name: string, line: string): Promise<string> =>
  new Promise(resolve => {
    const { ca, cert, key } = { ca: 'ca', cert: name, key: `${name}-key` }
    const socket = connectTls({
      host: '127.0.0.1',
      port,
      ca: readFile(setup.certificate(ca)),
      cert: readFile(setup.certificate(cert)),
      key: readFile(setup.certificate(key)),
    })
    let text = ''
    socket.on('secureConnect', () => socket.write(`${line}\r\n`))
    socket.on('data', chunk => {
      text += chunk
      if (text.includes('PING') || text.includes('PONG')) socket.destroy()
    })
    socket.on('error', error => {
      text += error.message
    })
    socket.on('close', () => resolve(text))
  })

/** The first lines of a server on a route. */
const hello = 'CONNECT {"verbose":false,"name":"NX","cluster":"confab"}\r\nPING'

t.test('a cluster of three: routes are for NATS servers only', async t => {
  const setup = await startSetup(t, 'cluster')
  const applied = await setup.operate('streams', 'apply', '--replicas', '3')
  t.equal(applied.code, 0, applied.stderr)
  const status = await setup.operate('streams', 'status')
  t.match(status.stdout, /^CONV_0 .* 3\/3 /m)

  for (const user of ['edge', 'operator'])
    t.match(await send(setup, setup.ports[0]!.route, user, hello), /Authorization Violation/, user)
  t.notMatch(await send(setup, setup.ports[0]!.route, 'nats', hello), /Authorization Violation/)
})

/** Starts a leaf node without rights of its own, with this certificate and account. */
const startLeaf = async (t: Test, setup: NatsSetup, port: number, name: string, account: string) => {
  const { path: binary } = await findNatsServer()
  const portsDir = tempFolder(t)
  const logFile = join(portsDir, 'nats-server.log')
  const configFile = join(portsDir, 'nats-server.conf')
  const [cert, key, ca] = [name, `${name}-key`, 'ca'].map(one => JSON.stringify(setup.certificate(one)))
  writeFileSync(
    configFile,
    `server_name: other-${name}
    listen: "127.0.0.1:-1"
    log_file: ${JSON.stringify(logFile)}
    ports_file_dir: ${JSON.stringify(portsDir)}
    accounts { ${account}: { users: [{ user: x, password: x }] } }
    default_js_domain: { ${account}: "" }
    leafnodes {
      remotes: [{
        urls: ["tls://127.0.0.1:${port}"], account: ${account}
        tls { cert_file: ${cert}, key_file: ${key}, ca_file: ${ca} }
      }]
    }`,
  )
  const server = await spawnServer(binary, configFile, { logFile, portsDir })
  const nats = await connectNats({
    servers: `nats://x:x@127.0.0.1:${server.port}`,
    inboxPrefix: inboxPrefixOf('edge'),
  })
  t.teardown(async () => {
    await nats.close()
    await server.stop()
  })
  return { nats, log: () => readFile(logFile) }
}

const isRefusedAsLeaf = async (t: Test, setup: NatsSetup, port: number, name: string): Promise<void> => {
  const { log } = await startLeaf(t, setup, port, name, 'X')
  // It logs a connection before the server has checked its certificate.
  await until(() => /Authorization Violation/.test(log()))
  t.match(log(), /Leafnode Error 'Authorization Violation'/, `${name} is no leaf node`)
}

t.test('an edge site: leaf nodes have the rights of an edge process', async t => {
  const setup = await startSetup(t, 'edge-site')
  t.equal((await setup.operate('streams', 'apply', '--replicas', '3')).code, 0)
  const port = setup.ports[0]!.leaf

  await t.test('the leaf node itself answers edge processes about their rights', async t => {
    for (let n = 0; n < 30; n++) {
      const nats = await setup.connectAs('site')
      await t.resolves(checkRights(nats, ['edge']))
      t.same(await rightsFinding(nats), { rights: 'few', excess: '' })
      await nats.close()
    }
  })

  await t.test('messages without a right do not pass the link', async t => {
    const { nats } = await startLeaf(t, setup, port, 'edge', 'EDGE')
    const asked = (subject: string): Promise<unknown> =>
      nats.connection.request(subject, '', { timeout: 1_000 })
    await until(() =>
      asked('$JS.API.INFO').then(
        () => true,
        () => false,
      ),
    )
    for (const subject of [
      '$JS.API.STREAM.DELETE.CONV_0',
      '$JS.API.STREAM.PURGE.SNAPSHOTS',
      '$JS.API.CONSUMER.CREATE.CONV_0',
      'conv.0.x',
      'cmd.members',
    ])
      await t.rejects(asked(subject), subject)
    t.match((await setup.operate('streams', 'status')).stdout, /^CONV_0 +0 /m)
  })

  await t.test('no other certificate joins as a leaf node', async t => {
    for (const name of ['operator', 'commands', 'nats']) await isRefusedAsLeaf(t, setup, port, name)
  })
})

t.test('two regions and a witness: links and routes by certificate', async t => {
  const setup = await startSetup(t, 'regions')
  const topology = join(setup.folder, 'topology.yaml')
  const applied = await setup.operate('streams', 'apply', '--topology', topology)
  t.equal(applied.code, 0, applied.stderr)
  const status = await setup.operate('region', 'status', '--topology', topology)
  t.match(status.stdout, /^CONV_0 +mirror +b +0 +0 /m)
  const { leaf, route } = setup.ports[0]!
  for (const name of ['operator', 'projections', 'analyst']) await isRefusedAsLeaf(t, setup, leaf, name)
  for (const name of ['edge', 'operator'])
    t.match(await send(setup, route, name, hello), /Authorization Violation/, `${name} opens no route`)
  t.notMatch(await send(setup, route, 'nats', hello), /Authorization Violation/)
  t.equal(await setup.stop(), 0, 'an orderly end')
})
