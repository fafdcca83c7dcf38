import type { HttpRequest, HttpResponse, TemplatedApp } from 'uWebSockets.js'

type Handler = (res: HttpResponse, req: HttpRequest) => void

/** Methods by pattern of each app. uWebSockets.js does not list its routes. */
const routesOf = new WeakMap<TemplatedApp, Map<string, readonly string[]>>()

/** Adds a route. GET includes HEAD, for which an Exchange omits the body. */
export const addRoute = (
  app: TemplatedApp,
  method: 'get' | 'post' | 'put',
  pattern: string,
  handler: Handler,
): void => {
  const routes = routesOf.get(app) ?? new Map<string, readonly string[]>()
  routesOf.set(app, routes)
  app[method](pattern, handler)
  if (method === 'get') app.head(pattern, handler)
  const methods = method === 'get' ? ['GET', 'HEAD'] : [method.toUpperCase()]
  routes.set(pattern, [...(routes.get(pattern) ?? []), ...methods])
}

/** `:name` in a pattern matches any segment. */
const matches = (pattern: string, path: string): boolean => {
  const segments = pattern.split('/')
  const given = path.split('/')
  return (
    segments.length === given.length &&
    segments.every((segment, i) => segment === given[i] || (segment.startsWith(':') && given[i] !== ''))
  )
}

/** Returns the sorted methods of a path; empty when no route matches. */
export const methodsOf = (app: TemplatedApp, path: string): readonly string[] => {
  const methods = new Set<string>()
  for (const [pattern, its] of routesOf.get(app) ?? [])
    if (matches(pattern, path)) for (const method of its) methods.add(method)
  return [...methods].sort()
}
