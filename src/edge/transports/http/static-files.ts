import type { TemplatedApp } from 'uWebSockets.js'
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { extname, join } from 'node:path'
import { promisify } from 'node:util'
import { brotliCompress, constants, gzip } from 'node:zlib'
import type { Logger } from '../../../base/logger.ts'
import { ConfabError } from '../../../events/index.ts'
import { visibleError } from '../../requests/answers.ts'
import { type AnswerPolicy, pageHeaders } from './answer-headers.ts'
import type { HeaderList } from './cors.ts'
import { Exchange } from './http-exchange.ts'
import { addRoute } from './routes.ts'

const contentTypes: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
}

/** Content encodings, the preferred one first. */
const encodings = ['br', 'gzip', 'identity'] as const
type Encoding = (typeof encodings)[number]

interface StaticFile {
  readonly bodies: Readonly<Record<Encoding, Uint8Array>>
  readonly hash: string
  readonly headers: HeaderList
}

const folder = join(import.meta.dirname, '../../../web')

/** The folder of files whose names contain a hash of their content. */
const assets = '/assets/'

/** Routes of the pages, with the file that each of them serves. */
const routes: readonly (readonly [pattern: string, path?: string])[] = [
  ['/', '/index.html'],
  ['/index.html'],
  ['/call/', '/call/index.html'],
  ['/call/index.html'],
  ['/icon.svg'],
  [`${assets}:name`],
]

/**
 * Returns the files of the pages by URL. The released package contains them, bundled. From sources they are bundled
 * here, so that a change needs no build.
 */
export const pageFiles = async (): Promise<ReadonlyMap<string, Uint8Array>> => {
  if (import.meta.filename.endsWith('.ts')) {
    const { bundlePages } = await import('./page-bundle.ts')
    return await bundlePages(folder)
  }
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true })
  const paths = entries.filter(entry => entry.isFile()).map(entry => join(entry.parentPath, entry.name))
  return new Map(paths.map(path => [path.slice(folder.length), readFileSync(path)]))
}

/** Prepares a file: compressed once, not for each request. */
const prepare = async (url: string, body: Uint8Array, media: string | undefined): Promise<StaticFile> => {
  const extension = extname(url)
  const headers: (readonly [string, string])[] = [
    ['content-type', contentTypes[extension] ?? 'application/octet-stream'],
    ['vary', 'accept-encoding'],
    ['cache-control', url.startsWith(assets) ? 'public, max-age=31536000, immutable' : 'no-cache'],
  ]
  if (extension === '.html') headers.push(...pageHeaders(url, media))
  const [br, gz] = await Promise.all([
    promisify(brotliCompress)(body, { params: { [constants.BROTLI_PARAM_QUALITY]: 9 } }),
    promisify(gzip)(body, { level: 9 }),
  ])
  const hash = createHash('sha256').update(body).digest('base64url').slice(0, 22)
  return { bodies: { br, gzip: gz, identity: body }, hash, headers }
}

const prepareAll = async (media: string | undefined): Promise<ReadonlyMap<string, StaticFile>> => {
  const files = [...(await pageFiles())]
  return new Map(
    await Promise.all(files.map(async ([url, body]) => [url, await prepare(url, body, media)] as const)),
  )
}

/** Returns the preferred encoding that `Accept-Encoding` allows (RFC 9110, 12.5.3). */
export const encodingFor = (header: string): Encoding => {
  const accepted = new Map(
    header.split(',').map(item => {
      const [name = '', ...parameters] = item.toLowerCase().split(';')
      const isRefused = parameters.some(parameter => /^\s*q\s*=\s*0(?:\.0*)?\s*$/.test(parameter))
      return [name.trim(), !isRefused] as const
    }),
  )
  return encodings.find(name => accepted.get(name) ?? accepted.get('*') ?? false) ?? 'identity'
}

/**
 * Serves the web pages from memory. Browsers keep the assets for ever, because a change gives them other names, and
 * revalidate the markup on each use. The files are prepared at the first request, as many servers never serve them.
 */
export const serveStaticFiles = (
  app: TemplatedApp,
  policy: AnswerPolicy,
  logger: Logger,
  media?: string,
): void => {
  let files: Promise<ReadonlyMap<string, StaticFile>> | undefined
  for (const [pattern, path] of routes)
    addRoute(app, 'get', pattern, (res, req) => {
      const url = path ?? req.getUrl()
      const known = req.getHeader('if-none-match')
      const encoding = encodingFor(req.getHeader('accept-encoding'))
      const exchange = new Exchange(res, req, policy)
      files ??= prepareAll(media)
      files.then(
        prepared => answer(exchange, prepared.get(url), encoding, known),
        (cause: unknown) => {
          files = undefined
          const error = new ConfabError('INTERNAL', 'The page could not be prepared.', { cause })
          exchange.error(visibleError(error, logger, { request: 'page' }))
        },
      )
    })
}

const answer = (
  exchange: Exchange,
  file: StaticFile | undefined,
  encoding: Encoding,
  known: string,
): void => {
  if (file === undefined) {
    exchange.error(new ConfabError('NOT_FOUND', 'No such path.').toBody())
    return
  }
  const { bodies, hash, headers } = file
  // One tag per encoding: the bodies differ.
  const validators: [string, string][] = [['etag', `"${hash}-${encoding}"`]]
  if (known.includes(`"${hash}-`)) exchange.end(304, '', [...headers, ...validators])
  else
    exchange.end(200, bodies[encoding], [
      ...headers,
      ...validators,
      ...(encoding === 'identity' ? [] : [['content-encoding', encoding] as const]),
    ])
}
