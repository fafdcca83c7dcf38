import type { TemplatedApp } from 'uWebSockets.js'
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { createRequire, stripTypeScriptTypes } from 'node:module'
import { dirname, extname, join, relative, sep } from 'node:path'
import { type CorsPolicy, Exchange } from './http-exchange.ts'
import { addRoute } from './routes.ts'

const contentTypes: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.mjs': 'text/javascript; charset=utf-8',
  '.ts': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.ico': 'image/x-icon',
  '.webmanifest': 'application/manifest+json',
}

/** Packages that the page imports, by its import map, as `/vendor/<package>/<path in it>`. */
const vendored = ['preact', 'htm']

interface StaticFile {
  readonly body: Uint8Array
  readonly type: string
  readonly etag: string
  readonly csp: string | undefined
}

const sha = (bytes: Uint8Array | string) => createHash('sha256').update(bytes).digest('base64')

/** Only what comes from here runs; inline scripts (the import map) only as they are in the file. `media` is the origin that media come from and go to, where it is another. */
const contentSecurityPolicy = (html: string, media: string | undefined): string => {
  const andMedia = media === undefined ? '' : ` ${media}`
  const inline = [...html.matchAll(/<script(?![^>]*\ssrc=)[^>]*>([\s\S]*?)<\/script>/g)]
  const scripts = ["'self'", ...inline.map(([, script]) => `'sha256-${sha(script!)}'`)]
  return [
    "default-src 'none'",
    `script-src ${scripts.join(' ')}`,
    "style-src 'self'",
    `img-src 'self' data:${andMedia}`,
    `connect-src 'self' ws: wss:${andMedia}`,
    "manifest-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ')
}

const load = (path: string, media: string | undefined): StaticFile => {
  const extension = extname(path)
  const raw = readFileSync(path)
  const body = extension === '.ts' ? Buffer.from(stripTypeScriptTypes(raw.toString('utf8'))) : raw
  return {
    body,
    type: contentTypes[extension]!,
    etag: `"${sha(body).slice(0, 22)}"`,
    csp: extension === '.html' ? contentSecurityPolicy(body.toString('utf8'), media) : undefined,
  }
}

const filesUnder = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter(entry => entry.isFile() && extname(entry.name) in contentTypes && !entry.name.endsWith('.d.ts'))
    .map(entry => join(entry.parentPath, entry.name))

const packageFolder = (name: string): string => {
  // A package may hide its package.json; its main file is always to be found.
  let folder = dirname(createRequire(import.meta.url).resolve(name))
  while (!folder.endsWith(`${sep}${name}`)) folder = dirname(folder)
  return folder
}

/** Every file of the page by its URL: the page's own, the client library's, and the browser modules of the vendored packages. Read once. */
const loadAll = (media: string | undefined): Map<string, StaticFile> => {
  const files = new Map<string, StaticFile>()
  const add = (prefix: string, folder: string, accept: (path: string) => boolean) => {
    for (const path of filesUnder(folder).filter(accept))
      files.set(`${prefix}${relative(folder, path).split(sep).join('/')}`, load(path, media))
  }
  add('/', join(import.meta.dirname, '../../../web'), () => true)
  add('/client/', join(import.meta.dirname, '../../../client'), () => true)
  for (const name of vendored) add(`/vendor/${name}/`, packageFolder(name), path => path.endsWith('.mjs'))
  for (const [url, file] of [...files])
    if (url.endsWith('/index.html')) files.set(url.slice(0, -'index.html'.length), file)
  return files
}

/** Serves the web page. Everything is in memory; a browser asks each time whether what it has is still it. */
export const serveStaticFiles = (app: TemplatedApp, cors: CorsPolicy, media?: string): void => {
  for (const [url, file] of loadAll(media))
    addRoute(app, 'get', url, (res, req) => {
      const known = req.getHeader('if-none-match')
      const exchange = new Exchange(res, req, cors)
      const headers: [string, string][] = [
        ['etag', file.etag],
        ['cache-control', 'no-cache'],
      ]
      if (known === file.etag) {
        exchange.end(304, '', headers)
        return
      }
      headers.push(['content-type', file.type])
      if (file.csp !== undefined) headers.push(['content-security-policy', file.csp])
      exchange.end(200, file.body, headers)
    })
}
