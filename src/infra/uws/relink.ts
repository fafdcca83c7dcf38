/**
 * The Linux binary of uWebSockets.js needs glibc 2.38 for three symbols only: the C23 aliases that newer headers use
 * for classic functions. The name of an alias ends in the classic name (`__isoc23_strtol`), so a copy that imports the
 * classic names loads on an older glibc. See the ELF gABI, chapters 4 and 5, and "Symbol Versioning" of the LSB.
 */
const aliasPrefix = '__isoc23_'
const aliased = new Set(['strtol', 'strtoul', 'sscanf'])
const newVersion = 'GLIBC_2.38'
/** Symbol version of the classic functions, by ELF machine: the first glibc for that machine. */
const baseVersions = new Map([
  [62, 'GLIBC_2.2.5'], // x86-64
  [183, 'GLIBC_2.17'], // aarch64
])

const sectionType = { dynamicSymbols: 11, versionSymbols: 0x6fffffff, versionNeeds: 0x6ffffffe } as const
const symbolBytes = 24

/** Thrown when the binary cannot be relinked; the message says why. */
export class RelinkError extends Error {
  static is = (error: unknown): error is RelinkError => error instanceof RelinkError

  constructor(why: string) {
    super(`cannot relink the uWebSockets.js binary for this glibc: ${why}`)
    this.name = 'RelinkError'
  }
}

interface Section {
  readonly type: number
  readonly offset: number
  readonly size: number
  readonly link: number
}

/** One required symbol version of a library, and the offset of its entry. */
interface Need {
  readonly library: string
  readonly version: string
  readonly index: number
  readonly at: number
}

const readSections = (elf: Buffer): Section[] => {
  if (elf.length < 64 || elf.readUInt32BE(0) !== 0x7f454c46) throw new RelinkError('it is not an ELF file')
  if (elf[4] !== 2 || elf[5] !== 1) throw new RelinkError('it is not 64-bit little-endian')
  const start = Number(elf.readBigUInt64LE(0x28))
  const entryBytes = elf.readUInt16LE(0x3a)
  return Array.from({ length: elf.readUInt16LE(0x3c) }, (_, index) => {
    const at = start + index * entryBytes
    return {
      type: elf.readUInt32LE(at + 4),
      offset: Number(elf.readBigUInt64LE(at + 24)),
      size: Number(elf.readBigUInt64LE(at + 32)),
      link: elf.readUInt32LE(at + 40),
    }
  })
}

const sectionOf = (sections: readonly Section[], type: number, name: string): Section => {
  const found = sections.find(section => section.type === type)
  if (found === undefined) throw new RelinkError(`it has no section ${name}`)
  return found
}

const readNeeds = (elf: Buffer, section: Section, text: (offset: number) => string): Need[] => {
  const needs: Need[] = []
  for (let library = section.offset, next = 1; next !== 0; library += next) {
    next = elf.readUInt32LE(library + 12)
    const count = elf.readUInt16LE(library + 2)
    let at = library + elf.readUInt32LE(library + 8)
    for (let i = 0; i < count; i++) {
      needs.push({
        library: text(elf.readUInt32LE(library + 4)),
        version: text(elf.readUInt32LE(at + 8)),
        index: elf.readUInt16LE(at + 6) & 0x7fff,
        at,
      })
      at += elf.readUInt32LE(at + 12)
    }
  }
  return needs
}

/**
 * Returns a copy of the binary that does not need glibc 2.38. Throws RelinkError when it needs more than the three
 * aliases.
 */
export const relinkForOlderGlibc = (original: Uint8Array): Buffer => {
  const elf = Buffer.from(original)
  const sections = readSections(elf)
  const symbols = sectionOf(sections, sectionType.dynamicSymbols, '.dynsym')
  const versions = sectionOf(sections, sectionType.versionSymbols, '.gnu.version')
  const needed = sectionOf(sections, sectionType.versionNeeds, '.gnu.version_r')
  const strings = sections[symbols.link]
  if (strings === undefined) throw new RelinkError('its symbols have no names')
  const text = (offset: number): string => {
    const start = strings.offset + offset
    return elf.toString('latin1', start, elf.indexOf(0, start))
  }

  const needs = readNeeds(elf, needed, text)
  const newer = needs.filter(need => need.version === newVersion)
  const [newNeed] = newer
  if (newNeed === undefined || newer.length > 1 || !newNeed.library.startsWith('libc.so'))
    throw new RelinkError(`it does not need ${newVersion} of libc alone`)
  const baseVersion = baseVersions.get(elf.readUInt16LE(0x12))
  const base = needs.find(need => need.library === newNeed.library && need.version === baseVersion)
  if (base === undefined) throw new RelinkError(`it needs no base version (${baseVersion}) to link to`)

  for (let i = 0; i < symbols.size / symbolBytes; i++) {
    if ((elf.readUInt16LE(versions.offset + i * 2) & 0x7fff) !== newNeed.index) continue
    const at = symbols.offset + i * symbolBytes
    const nameAt = elf.readUInt32LE(at)
    const name = text(nameAt)
    if (!name.startsWith(aliasPrefix) || !aliased.has(name.slice(aliasPrefix.length)))
      throw new RelinkError(`${name} needs ${newVersion}`)
    elf.writeUInt32LE(nameAt + aliasPrefix.length, at)
  }
  // Give the entry the hash and name of the base version. It keeps its index, which the symbols refer to.
  elf.copy(elf, newNeed.at, base.at, base.at + 4)
  elf.copy(elf, newNeed.at + 8, base.at + 8, base.at + 12)
  return elf
}
