#!/usr/bin/env node
// Plain JavaScript that every Node version runs. confab needs Node 24 (node:sqlite, the NATS client); on a machine with
// an older Node, this script starts the Node of the package "node".
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const source = join(root, 'src/cli/main.ts')
// A checkout runs its sources, even if an older dist/ exists. The package has no sources.
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
      `confab needs Node 24 or later; this is ${process.version}. The package "node" contains Node 24, but its ` +
        'install script has not run: allow it, then run "npm rebuild node".',
    )
    process.exit(1)
  }
  const child = spawn(node, [main, ...process.argv.slice(2)], { stdio: 'inherit' })
  // The terminal sends SIGINT to the child too. Other signals reach this process alone, which forwards them.
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
