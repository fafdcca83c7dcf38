import type { Access } from '../../src/edge/access/access.ts'
import type { ConversationReader } from '../../src/edge/catch-up/conversation-reader.ts'
import { ClientTokens, defaultEdgeLimits } from '../../src/edge/index.ts'
import { corsPolicy } from '../../src/edge/transports/http/cors.ts'
import { MediaRoutes } from '../../src/edge/transports/http/media-routes.ts'
import { loadUws } from '../../src/infra/uws/index.ts'
import { Media, type MediaStore } from '../../src/media/index.ts'

/** Serves only the edge's routes for media bytes: signed URLs without sign-in. Returns its address. */
export const startMediaServer = async (
  t: { teardown(fn: () => unknown): unknown },
  store: MediaStore,
): Promise<string> => {
  const uws = loadUws()
  const app = uws.App()
  const none = () => {}
  const nobody = () => Promise.reject(new Error('this server has no sign-in'))
  new MediaRoutes({
    media: new Media(store),
    access: { readable: nobody } as unknown as Access,
    reader: { hasMedia: nobody } as unknown as ConversationReader,
    addresses: { keyOf: peer => peer },
    admission: { user: none },
    quotas: { uploadEnded: none },
    reserve: { requireForMedia: none },
    tokens: new ClientTokens(defaultEdgeLimits, { verify: nobody }, none),
    logger: { debug: none, info: none, warn: none, error: none },
    policy: { always: () => [], cors: corsPolicy([]) },
  }).register(app)
  t.teardown(() => app.close())
  const port = await new Promise<number>((resolve, reject) =>
    app.listen('127.0.0.1', 0, socket =>
      socket === false ? reject(new Error('cannot listen')) : resolve(uws.us_socket_local_port(socket)),
    ),
  )
  return `http://127.0.0.1:${port}`
}
