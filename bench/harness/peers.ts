import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { startProgram, startScript } from './children.ts'
import { tokenSecret } from './confab.ts'
import { temporaryFolder } from './folders.ts'
import type { Memory } from './memory-probe.ts'

const run = promisify(execFile)
const folder = fileURLToPath(new URL('../peers', import.meta.url))
const probe = fileURLToPath(new URL('./memory-probe.ts', import.meta.url))
const env = { BENCH_JWT_SECRET: tokenSecret }

/** Another chat server. */
export interface Peer {
  readonly port: number
  /** Memory in use after collecting garbage, bytes. */
  memory(): Promise<number>
  stop(): Promise<void>
}

/** Starts a peer. `keeps`: whether it stores messages for clients that reconnect. */
export type StartPeer = (keeps: boolean) => Promise<Peer>

/** Runs a program that may not be installed. */
const runIfThere = async (program: string, args: readonly string[], cwd: string): Promise<void> => {
  try {
    await run(program, args, { cwd, timeout: 300_000 })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') throw new Error(`${program} is not installed`)
    throw error
  }
}

const argument = (keeps: boolean): string[] => (keeps ? ['recovery'] : [])

/** Socket.IO on Node, installed into its own folder if needed. Rejects when that fails. */
export const findSocketIo = async (tell: (text: string) => void): Promise<StartPeer> => {
  if (!existsSync(join(folder, 'node_modules/socket.io'))) {
    tell('installing Socket.IO into bench/peers')
    await runIfThere('npm', ['ci', '--no-audit', '--no-fund'], folder)
  }
  return async keeps => {
    const child = startScript(join(folder, 'socket-io.js'), argument(keeps), {
      nodeFlags: ['--expose-gc', '--import', probe],
      env,
    })
    const { port } = await child.next<{ port: number }>()
    return { port, memory: async () => (await child.ask<Memory>({ memory: true })).used, stop: child.stop }
  }
}

/** A server on the Centrifuge library, built with Go. Rejects without Go or when the build fails. */
export const findCentrifuge = async (
  defer: (end: () => unknown) => void,
  tell: (text: string) => void,
): Promise<StartPeer> => {
  const built = temporaryFolder()
  defer(built.remove)
  const program = join(built.path, 'centrifuge')
  tell('building the Centrifuge server')
  await runIfThere('go', ['build', '-o', program, '.'], join(folder, 'centrifuge'))
  return async keeps => {
    const child = startProgram(program, argument(keeps), env)
    const port = Number(await child.firstLine())
    return {
      port,
      memory: async () => Number(await (await fetch(`http://127.0.0.1:${port}/memory`)).text()),
      stop: child.stop,
    }
  }
}
