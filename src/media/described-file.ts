import { type Attachment, ConfabError } from '../events/index.ts'
import { normalName } from './file-name.ts'
import { normalType } from './media-type.ts'

/** The name and the type of a file. */
export type NameAndType = Pick<Attachment, 'name' | 'type'>

const bad = (field: string, expected: string): ConfabError =>
  new ConfabError('BAD_REQUEST', `${field.slice(1)}: expected ${expected}.`, { field })

/**
 * Returns name and type of a file as they are stored, from those that a device gives. Throws ConfabError BAD_REQUEST.
 * `pointer` is the prefix of the field in the error.
 */
export const normalDescription = ({ name, type }: NameAndType, pointer = ''): NameAndType => {
  const plainName = normalName(name)
  const plainType = normalType(type)
  if (plainName === undefined)
    throw bad(
      `${pointer}/name`,
      'a file name without folders, control characters and characters that override the writing direction',
    )
  if (plainType === undefined) throw bad(`${pointer}/type`, 'a media type, such as image/png')
  return { name: plainName, type: plainType }
}

/** Returns a stored name and type as this version stores them. */
export const currentDescription = ({ name, type }: NameAndType): NameAndType => ({
  name: normalName(name) ?? name,
  type: normalType(type) ?? type,
})
