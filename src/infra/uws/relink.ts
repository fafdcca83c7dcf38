/**
 * uWebSockets.js' binary for Linux wants glibc 2.38 for three names only: the C23 aliases that a newer compiler's headers put in place of classic functions.
 * Each name ends in the classic one's (`__isoc23_strtol`), so a copy that asks for the classic names loads on an older glibc. ELF gABI, chapters 4 and 5;
 * symbol versions as in the LSB's "Symbol Versioning".
 */
const aliasPrefix = '__isoc23_'
const aliased = new Set(['strtol', 'strtoul', 'sscanf'])
const wantedVersion = 'GLIBC_2.38'
/** What the classic functions are versioned as, by ELF machine: the first glibc of each. */
const baseVersions = new Map([
  [62, 'GLIBC_2.2.5'], // x86-64
  [183, 'GLIBC_2.17'], // aarch64
])

const sectionType = { dynamicSymbols: 11, versionSymbols: 0x6fffffff, versionNeeds: 0x6ffffffe } as const
const symbolBytes = 24

/** The binary cannot be made to load here; the message says why. */
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

/** One version that is needed of one library: where its entry stands. */
interface Need {
  readonly library: string
  readonly version: string
  readonly index: number
  readonly at: number
}

const readSections = (elf: Buffer): Section[] => {
  if (elf.length < 64 || elf.readUInt32BE(0) !== 0x7f454c46) throw new RelinkError('it is no ELF file')
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

/** A copy of the binary that asks for nothing of glibc 2.38. Throws RelinkError when it needs more of it than the three aliases. */
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
  const newer = needs.filter(need => need.version === wantedVersion)
  const [wanted] = newer
  if (wanted === undefined || newer.length > 1 || !wanted.library.startsWith('libc.so'))
    throw new RelinkError(`it does not need ${wantedVersion} of libc alone`)
  const baseVersion = baseVersions.get(elf.readUInt16LE(0x12))
  const base = needs.find(need => need.library === wanted.library && need.version === baseVersion)
  if (base === undefined) throw new RelinkError(`it needs no base version (${baseVersion}) to link to`)

  for (let i = 0; i < symbols.size / symbolBytes; i++) {
    if ((elf.readUInt16LE(versions.offset + i * 2) & 0x7fff) !== wanted.index) continue
    const at = symbols.offset + i * symbolBytes
    const nameAt = elf.readUInt32LE(at)
    const name = text(nameAt)
    if (!name.startsWith(aliasPrefix) || !aliased.has(name.slice(aliasPrefix.length)))
      throw new RelinkError(`${name} needs ${wantedVersion}`)
    elf.writeUInt32LE(nameAt + aliasPrefix.length, at)
  }
  // The entry becomes a second one of the base version: its hash and its name, under the index that the symbols go on naming.
  elf.copy(elf, wanted.at, base.at, base.at + 4)
  elf.copy(elf, wanted.at + 8, base.at + 8, base.at + 12)
  return elf
}
