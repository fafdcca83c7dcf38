/** Explains why a file cannot be read. */
export const readErrorText = (error: unknown): string => {
  const { code } = error as NodeJS.ErrnoException
  if (code === 'ENOENT' || code === 'ENOTDIR') return 'the file does not exist'
  if (code === 'EISDIR') return 'this is a folder, not a file'
  if (code === 'EACCES') return 'no permission to read the file'
  return error instanceof Error ? error.message : String(error)
}
