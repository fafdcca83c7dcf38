import { type HttpListener, json, openHttpListener } from './http-listener.ts'
import type { ProcessContext, Readiness } from './lifecycle.ts'

/** Whether all required components are ready. */
export const isReady = (parts: Readiness): boolean => Object.values(parts).every(part => part !== false)

/** Serves `/healthz` and `/readyz` of a process without the role `edge`. Rejects with CannotListenError. */
export const openStatusServer = async (
  context: ProcessContext,
  readiness: () => Promise<Readiness>,
): Promise<HttpListener> => {
  const { host, port } = context.config
  const routes = new Map([
    ['/healthz', { GET: () => json(200, { ok: true }) }],
    [
      '/readyz',
      {
        GET: async () => {
          const ok = await readiness().then(isReady, () => false)
          return json(ok ? 200 : 503, { ok })
        },
      },
    ],
  ])
  return await openHttpListener({ component: 'status server', host, port, routes }, context)
}
