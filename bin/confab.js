#!/usr/bin/env node
// Plain JavaScript that any Node runs: confab itself wants Node 24 (node:sqlite, the NATS client), and brings one for machines that have an older one.
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const source = join(root, 'src/cli/main.ts')
// In a checkout the sources run as they are, whatever was built of them at some time; the package has none.
const main = existsSync(source) ? source : join(root, 'dist/cli/main.js')

const bundledNode = () => {
  try {
    const folder = dirname(createRequire(import.meta.url).resolve('node/package.json'))
    const path = join(folder, 'bin', process.platform === 'win32' ? 'node.exe' : 'node')
    return existsSync(path) ? path : undefined
  } catch {
    return undefined
  }
}

if (Number(process.versions.node.split('.')[0]) >= 24) await import(pathToFileURL(main).href)
else {
  const node = bundledNode()
  if (node === undefined) {
    console.error(
      `confab needs Node 24 or later; this is ${process.version}, and the package "node" that brings one has not been set up: its install script may not have been allowed (npm rebuild node).`,
    )
    process.exit(1)
  }
  const child = spawn(node, [main, ...process.argv.slice(2)], { stdio: 'inherit' })
  // Ctrl-C reaches the child by the terminal; what is sent to this process alone is passed on.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'])
    process.on(signal, () => signal !== 'SIGINT' && child.kill(signal))
  child.on('error', error => {
    console.error(`confab: ${node} does not start: ${error.message}`)
    process.exit(1)
  })
  child.on('exit', (code, signal) => {
    if (signal === null) process.exit(code ?? 1)
    process.removeAllListeners(signal)
    process.kill(process.pid, signal)
  })
}
