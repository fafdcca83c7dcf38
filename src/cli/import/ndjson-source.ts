import { statSync } from 'node:fs'
import type { BadLine, ImportMessage, ImportSource, SourceBatch } from './import-item.ts'
import { parseNdjsonLine } from './ndjson-lines.ts'
import { readLines, sourceKey } from './read-lines.ts'

/** Bytes in a line: a text of 16 KiB with every byte escaped, and room for the rest. */
const maxLineBytes = 256 * 1024

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

const decode = (line: Buffer): string | undefined => {
  try {
    return decoder.decode(line)
  } catch {
    return undefined
  }
}

const byteOrderMark = '\ufeff'

/** A file of the import format `ndjson`: one message a line. Conversations that do not exist are created as channels, senders join them. */
export const ndjsonSource = async (path: string): Promise<ImportSource> => ({
  path,
  bytes: statSync(path).size,
  key: await sourceKey('ndjson', path),
  async *read(after): AsyncIterable<SourceBatch> {
    for await (const { lines, end } of readLines(path, after, maxLineBytes)) {
      const items: ImportMessage[] = []
      const bad: BadLine[] = []
      let line = end.lines - lines.length
      for (const raw of lines) {
        line++
        const text = raw === 'too long' ? undefined : decode(raw)
        if (text === undefined) {
          bad.push({ line, reason: raw === 'too long' ? `is over ${maxLineBytes} bytes` : 'is not UTF-8' })
          continue
        }
        const json = line === 1 && text.startsWith(byteOrderMark) ? text.slice(1) : text
        if (json.trim() === '') continue
        const item = parseNdjsonLine(json, line)
        if (typeof item === 'string') bad.push({ line, reason: item })
        else items.push(item)
      }
      yield { items, bad, end }
    }
  },
})
