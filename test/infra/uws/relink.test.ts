import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { binaryPath, loadUws } from '../../../src/infra/uws/load.ts'
import { RelinkError, relinkForOlderGlibc } from '../../../src/infra/uws/relink.ts'
import { tempFolder } from '../../harness/temp-folder.ts'

const skip = process.platform === 'linux' ? false : 'the binary is an ELF file on Linux only'
const original = skip ? Buffer.alloc(0) : readFileSync(binaryPath())

t.test('the relinked copy loads and serves', { skip }, async t => {
  const file = join(tempFolder(t), 'relinked.node')
  writeFileSync(file, relinkForOlderGlibc(original))
  // In a separate process: a binary that does not link crashes the process that loads it.
  const program = `
    const module = { exports: {} }
    process.dlopen(module, ${JSON.stringify(file)})
    const uws = module.exports
    const app = uws.App().get('/', res => res.end('served'))
    app.listen('127.0.0.1', 0, socket => {
      fetch('http://127.0.0.1:' + uws.us_socket_local_port(socket)).then(r => r.text()).then(text => {
        process.stdout.write(text)
        app.close()
      })
    })`
  t.equal(execFileSync(process.execPath, ['-e', program], { encoding: 'utf8' }), 'served')
})

t.test('relinking changes only names and one version', { skip }, async t => {
  const relinked = relinkForOlderGlibc(original)
  t.equal(relinked.length, original.length)
  let changed = 0
  for (let at = 0; at < original.length; at++) if (relinked[at] !== original[at]) changed++
  t.ok(changed > 0 && changed < 32, `${changed} bytes`)
  t.throws(() => relinkForOlderGlibc(relinked), /does not need GLIBC_2.38/)
})

t.test('a binary that needs more of glibc 2.38 is refused', { skip }, async t => {
  for (const [name, other] of [
    ['__isoc23_strtol', '__isoc23_strtod'],
    ['__isoc23_sscanf', 'fancy_new_call_'],
  ] as const) {
    const binary = Buffer.from(original)
    const at = binary.indexOf(`${name}\0`, 0, 'latin1')
    t.ok(at > 0)
    binary.write(other, at, 'latin1')
    t.throws(() => relinkForOlderGlibc(binary), new RegExp(`${other} needs GLIBC_2.38`))
  }
})

t.test('other files are refused', async t => {
  for (const bytes of [Buffer.alloc(0), Buffer.alloc(4096), Buffer.from('MZ'.repeat(2000))])
    t.throws(() => relinkForOlderGlibc(bytes), RelinkError)
})

t.test('loads once, from the copy in the cache folder if necessary', async t => {
  const cacheFolder = tempFolder(t)
  const uws = loadUws({ cacheFolder })
  t.type(uws.App, 'function')
  t.equal(loadUws({ cacheFolder }), uws)
  for (const name of existsSync(cacheFolder) ? readdirSync(cacheFolder) : [])
    t.match(name, /^uws-[0-9a-f]{32}\.node$/)
})
