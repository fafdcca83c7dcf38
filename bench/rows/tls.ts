import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createAuthority, issueCertificate } from '../../src/infra/certificates/index.ts'
import { startConfab } from '../harness/confab.ts'
import { temporaryFolder } from '../harness/folders.ts'
import { type Load, startLoad } from '../harness/load.ts'
import type { Context, Row, Sample } from '../row.ts'
import { confabSockets, pairOf, pairs } from './socket-sides.ts'

const talking = 200
const connecting = 1_000
const width = 64
const senders = Array.from({ length: talking }, (_, socket) => ({ socket, c: pairOf(socket) }))

/** Writes a certificate for this machine. Returns its files, and its authority as PEM. */
const writeCertificate = async ({ defer }: Pick<Context, 'defer'>) => {
  const folder = temporaryFolder()
  defer(folder.remove)
  const validity = { from: Date.now() - 60_000, to: Date.now() + 24 * 3_600_000 }
  const authority = await createAuthority({ name: 'benchmark', ...validity })
  const hosts = ['127.0.0.1']
  const { cert, key } = await issueCertificate(authority, {
    name: 'confab',
    use: 'server',
    hosts,
    ...validity,
  })
  const files = { certFile: join(folder.path, 'server.pem'), keyFile: join(folder.path, 'server-key.pem') }
  writeFileSync(files.certFile, cert)
  writeFileSync(files.keyFile, key, { mode: 0o600 })
  return { files, ca: authority.cert }
}

/** A server with or without TLS, and the sample of a turn. */
const prepareSide = async (
  { quick, defer }: Pick<Context, 'quick' | 'defer'>,
  certificate: Awaited<ReturnType<typeof writeCertificate>> | undefined,
): Promise<() => Promise<Sample>> => {
  const confab = await startConfab(certificate === undefined ? {} : { tls: certificate.files })
  defer(confab.stop)
  const trusting = certificate === undefined ? {} : { ca: certificate.ca }
  const plans = (await confabSockets(quick ? connecting / 4 : connecting)).map(plan => ({
    ...plan,
    ...trusting,
  }))
  const talk: Load = startLoad()
  defer(talk.stop)
  await talk.open(confab.port, plans.slice(0, talking), true)
  await talk.create(pairs(talking))
  return async () => {
    const { sent, seconds } = await talk.run({
      senders,
      inFlight: 4,
      until: 'acked',
      receivers: 2,
      sample: 1,
      seconds: quick ? 0.4 : 0.8,
    })
    const load = startLoad()
    try {
      // The first connection waits for the process to start.
      await load.open(confab.port, plans.slice(0, 1), true)
      const startedAt = performance.now()
      await load.open(confab.port, plans, true, { width })
      return [sent / seconds, plans.length / ((performance.now() - startedAt) / 1000)]
    } finally {
      await load.stop()
    }
  }
}

export const tlsRow: Row = {
  name: 'tls',
  figures: [
    {
      path: `sends acked and delivered over TLS, ${talking} sockets, 4 in flight each; all roles (limit: the same without TLS)`,
      unit: 'messages/s',
      target: { rule: 'none' },
    },
    {
      path: `sockets connected over TLS, token checked and hello answered, ${width} on their way at a time (limit: the same without TLS)`,
      unit: 'sockets/s',
      target: { rule: 'none' },
    },
  ],
  turns: 2,
  prepare: async context => ({
    ours: await prepareSide(context, await writeCertificate(context)),
    limit: await prepareSide(context, undefined),
  }),
}
