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

export type AdminMethods = Readonly<Partial<Record<'GET' | 'POST', AdminHandler>>>

/** The admin requests of a process by path and method. Components add theirs before the admin server starts. */
export class AdminRoutes {
  readonly #handlers = new Map<string, AdminMethods>()

  add(method: keyof AdminMethods, path: `/v1/admin/${string}`, handler: AdminHandler): void {
    this.#handlers.set(path, { ...this.#handlers.get(path), [method]: handler })
  }

  entries(): Iterable<readonly [path: string, methods: AdminMethods]> {
    return this.#handlers.entries()
  }
}
