import { request } from 'node:http'
import { brotliDecompressSync, gunzipSync } from 'node:zlib'
import t from 'tap'
import { encodingFor } from '../../src/edge/transports/http/static-files.ts'
import { startConfab } from '../harness/confab.ts'

const confab = await startConfab(t, { edge: { web: true } })

/** Requests without the decompression of `fetch`. */
const get = (path: string, headers: Record<string, string> = {}) =>
  new Promise<{ status: number; headers: Record<string, unknown>; body: Buffer }>((resolve, reject) => {
    request(`${confab.url}${path}`, { headers }, response => {
      const chunks: Buffer[] = []
      response.on('data', chunk => chunks.push(chunk))
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks) }),
      )
    })
      .on('error', reject)
      .end()
  })

const linked = (html: string): string[] =>
  [...html.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, url]) => url!)

t.test('a page is a few files: markup that is revalidated, and assets that never change', async t => {
  for (const path of ['/', '/call/']) {
    const page = await get(path)
    t.match(page, { status: 200, headers: { 'content-type': /^text\/html/, 'cache-control': 'no-cache' } })
    const { etag } = page.headers as { etag: string }
    t.match(await get(path, { 'if-none-match': etag }), { status: 304, body: { length: 0 } })
    const csp = String(page.headers['content-security-policy'])
    t.match(csp, "script-src 'self';")
    t.match(csp, "default-src 'none'")
    t.notMatch(page.body.toString(), /<script(?![^>]*src=)|<style|style=/, 'nothing inline')
    const files = linked(page.body.toString())
    t.equal(files.length, 3, files.join(' '))
    for (const url of files) {
      const file = await get(url)
      t.equal(file.status, 200, url)
      if (url !== '/icon.svg')
        t.equal(file.headers['cache-control'], 'public, max-age=31536000, immutable', url)
    }
  }
})

t.test('files are compressed as the client accepts it', async t => {
  const [script] = linked((await get('/')).body.toString()).filter(url => url.endsWith('.js'))
  const plain = await get(script!)
  t.equal(plain.headers['content-encoding'], undefined)
  const br = await get(script!, { 'accept-encoding': 'gzip, deflate, br, zstd' })
  t.match(br.headers, { 'content-encoding': 'br', vary: /accept-encoding/ })
  t.same(brotliDecompressSync(br.body), plain.body)
  const gzip = await get(script!, { 'accept-encoding': 'gzip' })
  t.equal(gzip.headers['content-encoding'], 'gzip')
  t.same(gunzipSync(gzip.body), plain.body)
  t.not(br.headers.etag, gzip.headers.etag, 'each has a tag of its own')
  t.ok(br.body.length < plain.body.length / 2)
})

t.test('Accept-Encoding', async t => {
  const cases: [header: string, expected: string][] = [
    ['', 'identity'],
    ['br', 'br'],
    ['BR;q=0.5, gzip', 'br'],
    ['br;q=0, gzip', 'gzip'],
    ['br; q=0.000, gzip; q=0', 'identity'],
    ['*', 'br'],
    ['*;q=0', 'identity'],
    ['br;q=0, *', 'gzip'],
    ['deflate', 'identity'],
    ['x-gzip,,;', 'identity'],
  ]
  for (const [header, expected] of cases) t.equal(encodingFor(header), expected, header)
})

t.test('other paths, and the sources, do not exist', async t => {
  for (const path of [
    '/main.ts',
    '/client/index.ts',
    '/assets/',
    '/assets/none.js',
    '/assets/../package.json',
  ])
    t.match(await get(path), { status: 404 }, path)
})
