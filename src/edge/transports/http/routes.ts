import type { HttpRequest, HttpResponse, TemplatedApp } from 'uWebSockets.js'

type Handler = (res: HttpResponse, req: HttpRequest) => void

/** Methods by pattern, of each app: the transport keeps its routes to itself. */
const routesOf = new WeakMap<TemplatedApp, Map<string, readonly string[]>>()

/** Adds a route. What has GET has HEAD: an Exchange leaves the body out. */
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

/** `:name` in a pattern is any segment. */
const matches = (pattern: string, path: string): boolean => {
  const wanted = pattern.split('/')
  const given = path.split('/')
  return (
    wanted.length === given.length &&
    wanted.every((segment, i) => segment === given[i] || (segment.startsWith(':') && given[i] !== ''))
  )
}

/** The methods of a path, in order; none where no route has it. */
export const methodsOf = (app: TemplatedApp, path: string): readonly string[] => {
  const methods = new Set<string>()
  for (const [pattern, its] of routesOf.get(app) ?? [])
    if (matches(pattern, path)) for (const method of its) methods.add(method)
  return [...methods].sort()
}
