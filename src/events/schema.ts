import { type SchemaOptions, type TSchema, Type } from '@sinclair/typebox'

/**
 * Annotations for limits that JSON Schema has no keyword for, or that a check reports in its own words.
 * `x-maxBytes`: UTF-8 bytes of a string, or of an object as JSON. `x-maxEntries`: entries of a map, published as
 * `maxProperties`. src/edge/requests checks both.
 */
export interface Annotations {
  readonly 'x-maxBytes'?: number
  readonly 'x-maxEntries'?: number
}

/**
 * A copy of a schema with a description, for docs/protocol.md and the OpenAPI and AsyncAPI documents.
 * Compiled checks ignore descriptions.
 */
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
