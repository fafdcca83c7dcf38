import { type Document, parseDocument } from 'yaml'
import { type OptionType, ValueError } from '../../../base/option.ts'
import { duration, list, oneOf, seconds, text, textMatching, url } from '../../../base/option-types.ts'
import { Family } from '../../../events/index.ts'
import { firstEpoch } from '../log/log-layout.ts'
import type { StreamDefinition } from '../log/stream-definitions.ts'
import { familyOf, type Placement, type Region, type Topology, TopologyError, type Zone } from './topology.ts'

/** Names of regions and zones are parts of subjects, and of the names of consumers. */
const regionName = textMatching(/^[a-z][a-z0-9-]{0,31}$/, '1 to 32 of a-z 0-9 -, beginning with a letter')
const domainName = textMatching(/^[A-Za-z0-9_-]{1,32}$/, '1 to 32 of A-Z a-z 0-9 _ -')
const idPrefix = textMatching(/^[A-Za-z0-9_-]{1,32}$/, 'the beginning of ids: 1 to 32 of A-Z a-z 0-9 _ -')
const boolean: OptionType<boolean> = {
  name: 'boolean',
  parse: raw => {
    if (typeof raw !== 'boolean') throw new ValueError('must be true or false')
    return raw
  },
}

const defaultLease = { time: '3s', renewal: '500ms', guard: '500ms' }
/** A shorter lease ends with each pause of a process; with a longer one, each failover takes as long. */
const leaseTime = duration(seconds, 60 * seconds)
const leasePart = duration(100, 30 * seconds)

type Fields = Readonly<Record<string, unknown>>

/** Reads parts of the file, and collects what is wrong. */
class TopologyReader {
  readonly problems: string[] = []

  problem(place: string, text: string): void {
    this.problems.push(`${place}: ${text}`)
  }

  /** Returns the fields of a map. `known`: the fields that it may have; all, when not given. */
  map(place: string, raw: unknown, known?: readonly string[]): Fields {
    if (raw === null || raw === undefined) return {}
    if (typeof raw !== 'object' || Array.isArray(raw)) {
      this.problem(place || 'the file', 'must be a map')
      return {}
    }
    for (const key of Object.keys(raw))
      if (known?.includes(key) === false)
        this.problem(`${place}.${key}`.replace(/^\./, ''), `unknown key (write ${known.join(', ')})`)
    return raw as Fields
  }

  /** Returns the value of a field; `otherwise` for one that is not there, or that is wrong. */
  value<T>(place: string, raw: unknown, type: OptionType<T>, otherwise: NoInfer<T>): T
  value<T>(place: string, raw: unknown, type: OptionType<T>, otherwise: undefined): T | undefined
  value<T>(place: string, raw: unknown, type: OptionType<T>, otherwise: T | undefined): T | undefined {
    if (raw === undefined || raw === null) return otherwise
    try {
      return type.parse(raw, '')
    } catch (error) {
      if (!ValueError.is(error)) throw error
      this.problem(place, error.message)
      return otherwise
    }
  }
}

/** Values that occur more than once. */
const repeated = (values: readonly string[]): string[] => [
  ...new Set(values.filter((value, index) => values.indexOf(value) !== index)),
]

const readRegions = (reader: TopologyReader, raw: unknown): Region[] => {
  const entries = Object.entries(reader.map('regions', raw))
  if (entries.length === 0) reader.problem('regions', 'must name at least one region')
  const isOne = entries.length === 1
  const regions = entries.map(([name, fields]): Region => {
    const place = `regions.${name}`
    reader.value(place, name, regionName, undefined)
    const { domain, urls, witness } = reader.map(place, fields, ['domain', 'urls', 'witness'])
    const region = {
      name,
      domain: reader.value(`${place}.domain`, domain, domainName, undefined),
      urls: reader.value(`${place}.urls`, urls, list(url('nats', 'tls')), []),
      isWitness: reader.value(`${place}.witness`, witness, boolean, false),
    }
    if (!isOne && domain === undefined)
      reader.problem(place, 'has no domain: name the JetStream domain of its servers')
    if (!isOne && urls === undefined) reader.problem(place, 'has no urls: name the addresses of its servers')
    return region
  })
  for (const key of ['domain', 'urls'] as const) {
    const values = regions.flatMap(region => [...new Set([region[key] ?? []].flat())])
    for (const value of repeated(values)) {
      const names = regions.filter(region => [region[key]].flat().includes(value)).map(({ name }) => name)
      reader.problem(
        'regions',
        `${names.join(' and ')} have the same ${key === 'domain' ? `domain ${value}` : 'address in urls'}: one would mirror itself`,
      )
    }
  }
  if (entries.length > 0 && regions.every(({ isWitness }) => isWitness))
    reader.problem('regions', 'all regions are witnesses: one has to hold the streams')
  return regions
}

const readZones = (
  reader: TopologyReader,
  raw: unknown,
  regions: readonly Region[],
): ReadonlyMap<string, Zone> => {
  const zones = new Map<string, Zone>()
  for (const [name, fields] of Object.entries(reader.map('zones', raw))) {
    const place = `zones.${name}`
    reader.value(place, name, regionName, undefined)
    const zone = reader.map(place, fields, ['prefix', 'regions'])
    const prefix = reader.value(`${place}.prefix`, zone.prefix, idPrefix, '')
    const names = reader.value(`${place}.regions`, zone.regions, list(text), [])
    if (zone.prefix === undefined) reader.problem(place, 'has no prefix of ids')
    if (zone.regions === undefined) reader.problem(place, 'has no regions')
    checkRegions(reader, `${place}.regions`, names, regions)
    for (const [other, { prefix: its }] of zones)
      if (prefix !== '' && its !== '' && (prefix.startsWith(its) || its.startsWith(prefix)))
        reader.problem(`${place}.prefix`, `an id may begin with the prefixes of both ${other} and ${name}`)
    zones.set(name, { prefix, regions: names })
  }
  return zones
}

/** Checks names of regions that hold data. */
const checkRegions = (
  reader: TopologyReader,
  place: string,
  names: readonly string[],
  regions: readonly Region[],
): void => {
  for (const name of names) {
    const region = regions.find(one => one.name === name)
    if (region === undefined)
      reader.problem(place, `no region ${name} (there are ${regions.map(one => one.name).join(', ')})`)
    else if (region.isWitness)
      reader.problem(place, `${name} is a witness, which holds no streams of the log`)
  }
  for (const name of repeated(names)) reader.problem(place, `names ${name} twice`)
}

const placementKeys = ['home', 'mirrors', 'ack', 'zone']

const readPlacement = (
  reader: TopologyReader,
  key: string,
  raw: unknown,
  regions: readonly Region[],
  zones: ReadonlyMap<string, Zone>,
): Placement => {
  const place = `streams.${key}`
  const fields = reader.map(place, raw, placementKeys)
  const homes = reader.value(`${place}.home`, fields.home, list(text), [])
  if (fields.home === undefined) reader.problem(place, 'has no home: name a region')
  if (homes.length > 1)
    reader.problem(
      `${place}.home`,
      `names ${homes.length} regions: a stream has one home, the others are mirrors`,
    )
  const mirrors = reader.value(
    `${place}.mirrors`,
    Array.isArray(fields.mirrors) && fields.mirrors.length === 0 ? undefined : fields.mirrors,
    list(text),
    [],
  )
  checkRegions(reader, `${place}.home`, homes, regions)
  checkRegions(reader, `${place}.mirrors`, mirrors, regions)
  const home = homes[0] ?? ''
  if (mirrors.includes(home))
    reader.problem(`${place}.mirrors`, `${home} is the home: a stream does not mirror itself`)
  const ack = reader.value(`${place}.ack`, fields.ack, oneOf('home', 'mirror'), 'home')
  if (ack === 'mirror' && mirrors.length === 0)
    reader.problem(`${place}.ack`, 'mirror: the stream has no mirrors to wait for')
  const zone = reader.value(`${place}.zone`, fields.zone, text, undefined)
  const permitted = zone === undefined ? undefined : zones.get(zone)?.regions
  if (zone !== undefined && permitted === undefined) reader.problem(`${place}.zone`, `no zone ${zone}`)
  const outside = [...homes, ...mirrors].filter(name => permitted?.includes(name) === false)
  if (outside.length > 0)
    reader.problem(place, `${outside.join(', ')} would hold a copy outside of the zone ${zone}`)
  return { home, epoch: firstEpoch, mirrors, ack, zone }
}

const readPlacements = (
  reader: TopologyReader,
  raw: unknown,
  regions: readonly Region[],
  zones: ReadonlyMap<string, Zone>,
  definitions: readonly StreamDefinition[],
): ReadonlyMap<string, Placement> => {
  const families: readonly string[] = Object.values(Family)
  const placements = new Map<string, Placement>()
  for (const [key, fields] of Object.entries(reader.map('streams', raw))) {
    const definition = definitions.find(({ name }) => name === key)
    if (definition !== undefined && familyOf(definition) === undefined)
      reader.problem(`streams.${key}`, 'is not of the log: every region has a stream of its own of this name')
    else if (definition === undefined && !families.includes(key))
      reader.problem(
        `streams.${key}`,
        `no such stream (write ${families.join(', ')}, or the name of a stream)`,
      )
    else placements.set(key, readPlacement(reader, key, fields, regions, zones))
  }
  if (regions.length > 1)
    for (const definition of definitions) {
      const family = familyOf(definition)
      if (family === undefined || placements.has(family) || placements.has(definition.name)) continue
      reader.problem('streams', `${definition.name} has no home: add ${family}, or ${definition.name}`)
    }
  return placements
}

const readLease = (reader: TopologyReader, raw: unknown): Topology['lease'] => {
  const given = reader.map('lease', raw, Object.keys(defaultLease))
  const read = (key: keyof typeof defaultLease, type: OptionType<number>): number =>
    reader.value(`lease.${key}`, given[key], type, type.parse(defaultLease[key], ''))
  const lease = {
    timeMs: read('time', leaseTime),
    renewalMs: read('renewal', leasePart),
    guardMs: read('guard', leasePart),
  }
  if (lease.timeMs <= lease.renewalMs + lease.guardMs)
    reader.problem('lease.time', 'must be more than renewal and guard together')
  return lease
}

const notesOf = (regions: readonly Region[], zones: ReadonlyMap<string, Zone>): string[] => {
  const notes: string[] = []
  const witnesses = regions.filter(({ isWitness }) => isWitness).length
  if (regions.length > 1 && (witnesses === 0 || regions.length - witnesses < 2))
    notes.push('a failover without an operator needs two regions and a witness')
  if (zones.size > 0)
    notes.push(
      'zones: a stream with a zone stays in its regions; ids are not yet assigned to zones by prefix',
    )
  return notes
}

/** The message of a syntax error without the lines of the file that it quotes: they may hold credentials. */
const syntaxError = (error: {
  code: string
  message: string
  linePos?: readonly { line: number }[]
}): string => {
  const line = error.linePos?.[0]?.line ?? 1
  return error.code === 'DUPLICATE_KEY'
    ? `line ${line}: the same key again: each region, stream and zone has one entry`
    : `line ${line}: not valid YAML (${error.code})`
}

/** Throws TopologyError for an alias without an anchor, which is no syntax error. */
const readDocument = (file: string, document: Document): unknown => {
  try {
    return document.toJS()
  } catch (error) {
    throw new TopologyError(file, [`not valid YAML: ${(error as Error).message}`])
  }
}

/**
 * Parses a topology. `file` names the file in errors; `definitions` are the streams that it may name. Throws
 * TopologyError, which names every wrong place.
 */
export const parseTopology = (
  file: string,
  source: string,
  definitions: readonly StreamDefinition[],
): Topology => {
  const document = parseDocument(source)
  if (document.errors.length > 0) throw new TopologyError(file, document.errors.map(syntaxError))
  const reader = new TopologyReader()
  const fields = reader.map('', readDocument(file, document), ['regions', 'streams', 'zones', 'lease'])
  const regions = readRegions(reader, fields.regions)
  const zones = readZones(reader, fields.zones, regions)
  const placements = readPlacements(reader, fields.streams, regions, zones, definitions)
  const lease = readLease(reader, fields.lease)
  if (reader.problems.length > 0) throw new TopologyError(file, reader.problems)
  return { regions, placements, zones, lease, notes: notesOf(regions, zones) }
}
