import { spawnSync } from 'node:child_process'
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'

/** Compiles src/ to dist/. The package ships JavaScript because Node does not strip types inside node_modules. */
const root = dirname(import.meta.dirname)
const src = join(root, 'src')
const dist = join(root, 'dist')

rmSync(dist, { recursive: true, force: true })

const typescript = dirname(createRequire(import.meta.url).resolve('typescript/package.json'))
const compiled = spawnSync(process.execPath, [join(typescript, 'bin/tsc'), '-p', 'tsconfig.build.json'], {
  cwd: root,
  stdio: 'inherit',
})
if (compiled.status !== 0) process.exit(compiled.status ?? 1)

// Copy the files that are not TypeScript, such as the markup and styles of the web pages.
cpSync(src, dist, { recursive: true, filter: path => !path.endsWith('.ts') })

// Each page loads its first module by name: replace .ts by .js.
for (const name of ['index.html', 'call/index.html']) {
  const page = join(dist, 'web', name)
  writeFileSync(page, readFileSync(page, 'utf8').replace(/(src="[\w/]+)\.ts"/, '$1.js"'))
}
