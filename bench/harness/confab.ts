import { setTimeout as wait } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { SignJWT } from 'jose'
import { writeDevSecret } from '../../test/harness/confab-process.ts'
import { freePort } from '../../test/harness/free-ports.ts'
import { unlimited } from '../../test/harness/no-rates.ts'
import { startScript } from './children.ts'
import { temporaryFolder } from './folders.ts'
import type { Memory } from './memory-probe.ts'

const program = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url))
const probe = fileURLToPath(new URL('./memory-probe.ts', import.meta.url))
/** Signs the tokens of confab and its peers. */
export const tokenSecret = 'the secret of a benchmark, which keeps none'

/** `confab serve --dev` as a user starts it: with the embedded nats-server, in a folder of its own. */
export interface ConfabServer {
  readonly port: number
  /** Port of the admin listener. */
  readonly adminPort: number
  readonly pid: number
  /** From the start of the process to the first 200 of `/readyz`. */
  readonly readyMs: number
  memory(): Promise<Memory>
  stop(): Promise<void>
}

export interface ConfabOptions {
  /** Data folder. Default: an empty one, removed at the end. */
  readonly data?: string
  /** Default: all of them. */
  readonly roles?: string
  /** Certificate of the public listener. Default: no TLS. */
  readonly tls?: { readonly certFile: string; readonly keyFile: string }
}

const waitMs = 60_000

/** The server writes a CPU profile to the folder named by BENCH_CPU_PROF. */
const profiling = (): string[] => {
  const folder = process.env.BENCH_CPU_PROF
  return folder === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${folder}`]
}

export const startConfab = async ({ data, roles, tls }: ConfabOptions = {}): Promise<ConfabServer> => {
  const folder = data === undefined ? temporaryFolder() : undefined
  const [port, adminPort] = [await freePort(), await freePort()]
  const path = data ?? folder!.path
  writeDevSecret(path, tokenSecret)
  const startedAt = performance.now()
  const child = startScript(
    program,
    [
      'serve',
      '--dev',
      '--port',
      String(port),
      '--admin-port',
      String(adminPort),
      '--data',
      path,
      ...(roles === undefined ? [] : ['--roles', roles]),
    ],
    {
      nodeFlags: ['--expose-gc', '--import', probe, ...profiling()],
      env: {
        CONFAB_LOG_LEVEL: 'warn',
        ...unlimited,
        ...(tls === undefined
          ? {}
          : { CONFAB_EDGE_TLS_CERT: tls.certFile, CONFAB_EDGE_TLS_KEY: tls.keyFile }),
      },
    },
  )
  let isOver = false
  void child.ended.then(() => {
    isOver = true
  })
  for (;;) {
    // The admin listener has no TLS.
    const answer = await fetch(`http://127.0.0.1:${tls === undefined ? port : adminPort}/readyz`).catch(
      () => undefined,
    )
    if (answer?.status === 200) break
    if (isOver) throw new Error(`confab ended before it was ready: ${child.complaints()}`)
    if (performance.now() - startedAt > waitMs) {
      await child.stop()
      throw new Error(`confab was not ready within ${waitMs / 1000} s: ${child.complaints()}`)
    }
    await wait(5)
  }
  const readyMs = performance.now() - startedAt
  return {
    port,
    adminPort,
    pid: child.pid,
    readyMs,
    memory: () => child.ask<Memory>({ memory: true }),
    stop: async () => {
      await child.stop()
      folder?.remove()
    },
  }
}

const key = new TextEncoder().encode(tokenSecret)

/** Returns a token of a user, signed with the development secret of `startConfab`. */
export const tokenOf = (user: string): Promise<string> =>
  new SignJWT()
    .setProtectedHeader({ alg: 'HS256' })
    .setSubject(user)
    .setIssuedAt()
    .setExpirationTime('2h')
    .sign(key)
