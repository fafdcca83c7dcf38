import type { TemplatedApp } from 'uWebSockets.js'
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { createRequire, stripTypeScriptTypes } from 'node:module'
import { dirname, extname, join, relative, sep } from 'node:path'
import type { CorsPolicy } from './cors.ts'
import { Exchange } from './http-exchange.ts'
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

/** Packages in the import map of the page, served as `/vendor/<package>/<path>`. */
const vendored = ['preact', 'htm']

interface StaticFile {
  readonly body: Uint8Array
  readonly type: string
  readonly etag: string
  readonly csp: string | undefined
}

const sha = (bytes: Uint8Array | string) => createHash('sha256').update(bytes).digest('base64')

/**
 * Allows scripts of this server only, and inline scripts (the import map) by hash. `media`: the origin of the media
 * store, if it has its own.
 */
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
  // A package may hide its package.json, but never its main file.
  let folder = dirname(createRequire(import.meta.url).resolve(name))
  while (!folder.endsWith(`${sep}${name}`)) folder = dirname(folder)
  return folder
}

/** Reads all files of the page, by URL: its own, the client library's, and the browser modules of vendored packages. */
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

/** Serves the web page from memory. Browsers revalidate their cached copy on each use. */
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
