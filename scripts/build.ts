import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { bundlePages } from '../src/edge/transports/http/page-bundle.ts'

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

// Copy the files that are not TypeScript. The web pages follow in bundled form.
const web = join(src, 'web')
cpSync(src, dist, {
  recursive: true,
  filter: path => !path.endsWith('.ts') && path !== web,
})
rmSync(join(dist, 'web'), { recursive: true, force: true })
for (const [url, body] of await bundlePages(web)) {
  const path = join(dist, 'web', url)
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, body)
}
// The package contains no bundler.
for (const extension of ['js', 'd.ts']) rmSync(join(dist, `edge/transports/http/page-bundle.${extension}`))
