import { type SchemaOptions, type TSchema, Type } from '@sinclair/typebox'

/**
 * Annotations that JSON Schema has no keyword for. `x-maxBytes`: UTF-8 bytes of a string. `x-maxEntries`: entries of a map, published as
 * `maxProperties`. The edge checks both by itself, with errors that name the limit.
 */
export interface Annotations {
  readonly 'x-maxBytes'?: number
  readonly 'x-maxEntries'?: number
}

/** A copy of a schema with a description, for docs/protocol.md and the OpenAPI and AsyncAPI documents. Checks ignore it. */
export const described = <T extends TSchema>(
  schema: T,
  description: string,
  more: SchemaOptions & Annotations = {},
): T => ({ ...schema, ...more, description })

/** As `described`, for a field that may be absent. */
export const optional = <T extends TSchema>(
  schema: T,
  description: string,
  more: SchemaOptions & Annotations = {},
) => Type.Optional(described(schema, description, more))
