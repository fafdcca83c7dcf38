import type { ActionName } from '../audit/index.ts'

/** A request of an administrator, whose token has been checked. */
export interface AdminRequest {
  /** User of the token. */
  readonly admin: string
  readonly query: URLSearchParams
  /** JSON object in the body of a POST request; empty without a body. */
  readonly body: Readonly<Record<string, unknown>>
}

/** Answers with a JSON object, or throws ConfabError. */
export type AdminHandler = (request: AdminRequest) => Promise<object> | object

/**
 * How requests of a route are recorded in the audit stream. `target` and `params` must not contain secrets or texts of
 * messages. `unrecorded`: the route changes nothing, and shows nothing that only admins may see.
 */
export type AdminRecording =
  | 'unrecorded'
  | {
      readonly action: ActionName
      readonly target?: (request: AdminRequest) => string
      /** Time after a record within which further requests of the same admin are not recorded, ms. Default: 0. */
      readonly repeatMs?: number
      readonly params?: (request: AdminRequest) => Readonly<Record<string, unknown>>
    }

export interface AdminRoute {
  readonly recording: AdminRecording
  readonly handler: AdminHandler
}

export type AdminMethods = Readonly<Partial<Record<'GET' | 'POST', AdminRoute>>>

/** The admin requests of a process by path and method. Components add theirs before the admin server starts. */
export class AdminRoutes {
  readonly #routes = new Map<string, AdminMethods>()

  add(
    method: keyof AdminMethods,
    path: `/v1/admin/${string}`,
    recording: AdminRecording,
    handler: AdminHandler,
  ): void {
    this.#routes.set(path, { ...this.#routes.get(path), [method]: { recording, handler } })
  }

  entries(): Iterable<readonly [path: string, methods: AdminMethods]> {
    return this.#routes.entries()
  }
}
