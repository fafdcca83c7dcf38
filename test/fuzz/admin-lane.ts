import fc from 'fast-check'
import { httpLane } from './http-lane.ts'
import { type HttpRequest, httpRequests } from './http-requests.ts'
import type { Lane, Target } from './lane.ts'

const route = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.constantFrom(
      '/healthz',
      '/readyz',
      '/metrics',
      '/v1/admin/configuration',
      '/v1/admin/configuration?x=%FF',
      '/v1/admin/',
      '/v1/admin/none',
      '/v1/commands',
      '//x',
      '/\\x',
      '*',
      'http://[/',
    ),
  },
  { weight: 1, arbitrary: fc.webPath().map(path => `/${path.slice(0, 500)}`) },
)

/** Requests of the admin listener: most of them with the token of an administrator or of a stranger. */
const adminRequests: fc.Arbitrary<HttpRequest> = fc
  .tuple(
    httpRequests,
    route,
    fc.constantFrom('own' as const, 'admin' as const, 'none' as const, 'junk' as const),
  )
  .map(([request, path, token]) => ({ ...request, path, token, type: undefined }))

/** The clients of the admin listener. */
export const adminLane = (name: string, net: number, target: Target): Lane =>
  httpLane(name, net, target.adminPort, target, fc.array(adminRequests, { minLength: 1, maxLength: 8 }))
