import { pageFiles } from '../../edge/index.ts'
import type { HttpAnswer, HttpHandler } from '../http-listener.ts'

/** Scripts and styles of this listener only, and requests to it only. */
const headers = {
  'content-security-policy': [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    'img-src data:',
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; '),
  'cross-origin-opener-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
} as const

const types = {
  html: 'text/html; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  css: 'text/css; charset=utf-8',
} as const

type Files = Readonly<Record<keyof typeof types, string>>

const prepare = async (): Promise<Files> => {
  const files = await pageFiles()
  const bundled = /^\/assets\/ops-\w+\.(js|css)$/
  const read = (isFile: (path: string) => boolean): string => {
    const [, body] = [...files].find(([path]) => isFile(path)) ?? []
    if (body === undefined) throw new Error('the page /ops is not part of this installation')
    return new TextDecoder().decode(body)
  }
  return {
    html: read(path => path === '/ops/index.html').replaceAll(/\/assets\/ops-\w+\.(js|css)/g, '/ops/main.$1'),
    js: read(path => bundled.exec(path)?.[1] === 'js'),
    css: read(path => bundled.exec(path)?.[1] === 'css'),
  }
}

/**
 * Returns the handlers of the page `/ops`, by path. The page itself contains no data and needs no token: it asks the
 * operator for one. Its files are prepared at the first request.
 */
export const opsPage = (): ReadonlyMap<string, HttpHandler> => {
  let files: Promise<Files> | undefined
  const file =
    (kind: keyof typeof types): HttpHandler =>
    async (): Promise<HttpAnswer> => {
      files ??= prepare()
      files.catch(() => {
        files = undefined
      })
      return { status: 200, type: types[kind], body: (await files)[kind], headers }
    }
  return new Map([
    ['/ops', file('html')],
    ['/ops/main.js', file('js')],
    ['/ops/main.css', file('css')],
  ])
}
