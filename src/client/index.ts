export type * from './client-types.ts'
export { createClient } from './create-client.ts'
export { RequestError, type RequestErrorBody, type RequestErrorCode } from './request-error.ts'
export { uuidV7 } from './uuid-v7.ts'
