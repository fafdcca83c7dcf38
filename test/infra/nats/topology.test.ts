import { join } from 'node:path'
import fc from 'fast-check'
import t from 'tap'
import { stringify } from 'yaml'
import { loadStreams } from '../../../src/infra/nats/log/streams.ts'
import { loadTopology } from '../../../src/infra/nats/regions/load-topology.ts'
import { parseTopology } from '../../../src/infra/nats/regions/parse-topology.ts'
import { streamsIn } from '../../../src/infra/nats/regions/region-streams.ts'
import { isOneRegion, placementOf, TopologyError } from '../../../src/infra/nats/regions/topology.ts'

const definitions = loadStreams({ conv: 2 })
const parse = (value: unknown) =>
  parseTopology('t.yaml', typeof value === 'string' ? value : stringify(value), definitions)

const region = (name: string) => ({ domain: name, urls: [`nats://${name}.example:4222`] })
const regions = { a: region('a'), b: region('b'), c: { ...region('c'), witness: true } }
const placed = { home: 'a', mirrors: ['b'] }
const valid = { regions, streams: { conv: placed, user: placed } }

t.test('the shipped topology has one region, and changes nothing', t => {
  const topology = loadTopology(definitions)
  t.ok(isOneRegion(topology))
  t.same(topology.notes, [])
  t.same(topology.lease, { timeMs: 3_000, renewalMs: 500, guardMs: 500 })
  t.same(
    streamsIn(topology, definitions, topology.regions[0]!).map(({ definition }) => definition),
    definitions,
  )
  t.end()
})

t.test('two regions and a witness', t => {
  const topology = parse({
    ...valid,
    streams: { ...valid.streams, CONV_1: { home: 'b', mirrors: 'a', ack: 'mirror' } },
    lease: { time: '5s', guard: '1s' },
  })
  t.same(topology.notes, [])
  t.same(topology.lease, { timeMs: 5_000, renewalMs: 500, guardMs: 1_000 })
  const placement = (name: string) => placementOf(topology, definitions.find(one => one.name === name)!)
  t.match(placement('CONV_0'), { home: 'a', mirrors: ['b'], ack: 'home' })
  t.match(placement('CONV_1'), { home: 'b', mirrors: ['a'], ack: 'mirror' }, 'a name has precedence')
  t.equal(placement('SNAPSHOTS'), undefined, 'every region has its own')
  const [a, b, c] = topology.regions.map(one => streamsIn(topology, definitions, one))
  t.match(
    a?.find(({ definition }) => definition.name === 'CONV_0'),
    { role: 'home', definition: { metadata: { 'confab.role': 'home', 'confab.epoch': '1' } } },
  )
  const mirror = b?.find(({ definition }) => definition.name === 'CONV_0')
  t.match(mirror, {
    role: 'mirror',
    definition: {
      mirror: {
        name: 'CONV_0',
        external: { api: '$JS.a.API' },
        consumer: { name: 'mirror-b', deliver_subject: 'mirror.b.CONV_0' },
      },
      republish: { src: 'conv.>', dest: 'live.conv.>' },
      metadata: { 'confab.role': 'mirror' },
    },
  })
  for (const field of ['subjects', 'allow_atomic', 'duplicate_window'])
    t.notOk(field in (mirror?.definition ?? {}), `no ${field}`)
  t.same(
    c?.map(({ definition }) => definition.name),
    ['PROMISES'],
    'a witness has no streams of the log',
  )
  t.end()
})

/** Topologies with one fault each, and its message. */
const faults: readonly [change: object, message: RegExp][] = [
  [{ regions: {} }, /regions: must name at least one region/],
  [{ regions: { ...regions, b: { urls: ['nats://b'] } } }, /regions\.b: has no domain/],
  [{ regions: { ...regions, b: { domain: 'b' } } }, /regions\.b: has no urls/],
  [
    { regions: { ...regions, b: { ...region('b'), domain: 'a.b' } } },
    /regions\.b\.domain: must be 1 to 32 of/,
  ],
  [{ regions: { ...regions, b: { ...region('b'), domain: 'a' } } }, /a and b have the same domain a/],
  [{ regions: { ...regions, b: { ...region('a'), domain: 'b' } } }, /a and b have the same address/],
  [{ regions: { ...regions, B: region('x') } }, /regions\.B: must be 1 to 32 of a-z/],
  [{ regions: { ...regions, b: { ...region('b'), zone: 'eu' } } }, /regions\.b\.zone: unknown key/],
  [
    { regions: { ...regions, b: { ...region('b'), witness: 'yes' } } },
    /regions\.b\.witness: must be true or/,
  ],
  [
    { regions: { ...regions, b: { ...region('b'), urls: ['http://b'] } } },
    /regions\.b\.urls: must be an address/,
  ],
  [{ streams: { conv: placed } }, /streams: USER_0 has no home/],
  [{ streams: { ...valid.streams, CONV_7: placed } }, /streams\.CONV_7: no such stream/],
  [{ streams: { ...valid.streams, AUDIT: placed } }, /streams\.AUDIT: is not of the log/],
  [{ streams: { ...valid.streams, conv: { mirrors: ['b'] } } }, /streams\.conv: has no home/],
  [
    { streams: { ...valid.streams, conv: { home: ['a', 'b'] } } },
    /streams\.conv\.home: names 2 regions: a stream has/,
  ],
  [
    { streams: { ...valid.streams, conv: { home: 'x' } } },
    /streams\.conv\.home: no region x \(there are a, b, c\)/,
  ],
  [{ streams: { ...valid.streams, conv: { home: 'c' } } }, /streams\.conv\.home: c is a witness/],
  [
    { streams: { ...valid.streams, conv: { home: 'a', mirrors: ['c'] } } },
    /streams\.conv\.mirrors: c is a witness/,
  ],
  [
    { streams: { ...valid.streams, conv: { home: 'a', mirrors: ['a'] } } },
    /mirrors: a is the home: a stream does not/,
  ],
  [{ streams: { ...valid.streams, conv: { home: 'a', mirrors: ['b', 'b'] } } }, /mirrors: names b twice/],
  [
    { streams: { ...valid.streams, conv: { home: 'a', ack: 'mirror' } } },
    /ack: mirror: the stream has no mirrors/,
  ],
  [{ streams: { ...valid.streams, conv: { ...placed, ack: 'all' } } }, /ack: must be one of home, mirror/],
  [{ streams: { ...valid.streams, conv: { ...placed, zone: 'eu' } } }, /zone: no zone eu/],
  [{ zones: { eu: { prefix: 'eu-' } } }, /zones\.eu: has no regions/],
  [{ zones: { eu: { prefix: 'e u', regions: ['a'] } } }, /zones\.eu\.prefix: must be the beginning of ids/],
  [
    { zones: { eu: { prefix: 'eu-', regions: ['a'] }, de: { prefix: 'eu-de-', regions: ['a'] } } },
    /zones\.de\.prefix: an id may begin with the prefixes of both eu and de/,
  ],
  [
    {
      zones: { eu: { prefix: 'eu-', regions: ['a'] } },
      streams: { ...valid.streams, conv: { ...placed, zone: 'eu' } },
    },
    /streams\.conv: b would hold a copy outside of the zone eu/,
  ],
  [{ lease: { time: '1h' } }, /lease\.time: must be from 1s to/],
  [{ lease: { renewal: '10ms' } }, /lease\.renewal: must be from 100ms to/],
  [{ lease: { time: 3 } }, /lease\.time: must be a time with its unit/],
  [
    { lease: { time: '1s', renewal: '500ms', guard: '500ms' } },
    /lease\.time: must be more than renewal and guard/,
  ],
  [{ lease: { length: '3s' } }, /lease\.length: unknown key/],
  [{ mirrors: [] }, /mirrors: unknown key \(write regions, streams, zones, lease\)/],
]

t.test('each fault has a message', t => {
  for (const [change, message] of faults)
    t.throws(() => parse({ ...valid, ...change }), { code: 'BAD_OPTION', message }, String(message))
  t.throws(() => parse('regions: {a: {}, a: {}}'), { message: /t\.yaml: line 1: the same key again/ })
  t.throws(() => parse('regions: {a: {urls: nats://u:secret@h'), {
    message: /line 1: not valid YAML \(BAD_INDENT\)/,
  })
  t.throws(() => parse('- a'), { message: /the file: must be a map/ })
  t.throws(() => parse('*a'), { message: /not valid YAML: Unresolved alias/ })
  t.throws(() => loadTopology(definitions, join(import.meta.dirname, 'no.yaml')), { code: 'BAD_OPTION' })
  t.throws(() => parse({ regions: { A: {}, B: {} }, streams: {} }), {
    message: /is wrong in \d+ places:\n {2}- /,
  })
  t.end()
})

t.test('a topology that permits no failover by itself has a note', t => {
  const { c, ...two } = regions
  t.match(parse({ ...valid, regions: two }).notes, [/needs two regions and a witness/])
  t.match(parse({ ...valid, zones: { eu: { prefix: 'eu-', regions: ['a', 'b'] } } }).notes, [/^zones: /])
  t.end()
})

const name = fc.constantFrom('a', 'b', 'c', 'd')
const anyTopology = fc.record(
  {
    regions: fc.dictionary(
      name,
      fc.record(
        { domain: name, urls: fc.array(name.map(one => `nats://${one}`)), witness: fc.boolean() },
        { requiredKeys: [] },
      ),
    ),
    streams: fc.dictionary(
      fc.constantFrom('conv', 'user', 'CONV_0', 'CONV_1', 'USER_0'),
      fc.record(
        { home: name, mirrors: fc.array(name), ack: fc.constantFrom('home', 'mirror'), zone: name },
        { requiredKeys: ['home'] },
      ),
    ),
    zones: fc.dictionary(name, fc.record({ prefix: name, regions: fc.array(name) })),
  },
  { requiredKeys: ['regions', 'streams'] },
)

t.test('an accepted topology has one home for each stream, and no mirror of a mirror', t => {
  let accepted = 0
  const check = (value: unknown): void => {
    let topology: ReturnType<typeof parse>
    try {
      topology = parse(value)
    } catch (error) {
      if (!TopologyError.is(error)) throw error
      return
    }
    accepted++
    const perRegion = topology.regions.map(one => ({
      region: one,
      streams: streamsIn(topology, definitions, one),
    }))
    for (const definition of definitions.filter(({ subjects }) => /^(conv|user)\./.test(subjects[0] ?? ''))) {
      const holders = perRegion.flatMap(({ region, streams }) =>
        streams
          .filter(one => one.definition.name === definition.name)
          .map(({ definition: { mirror, subjects } }) => ({ region, mirror, subjects })),
      )
      const homes = holders.filter(({ mirror }) => mirror === undefined)
      t.equal(homes.length, 1)
      for (const { region, mirror, subjects } of holders) {
        t.equal(region.isWitness, false)
        if (mirror === undefined) continue
        t.equal(subjects, undefined)
        t.equal(mirror.external?.api, `$JS.${homes[0]?.region.domain}.API`)
        t.not(region.domain, homes[0]?.region.domain)
      }
    }
  }
  fc.assert(fc.property(anyTopology, check), { numRuns: 2_000 })
  fc.assert(
    fc.property(
      fc.array(fc.tuple(name, fc.subarray(['a', 'b', 'd'])), { minLength: 3, maxLength: 3 }),
      rows => {
        const keys = ['CONV_0', 'CONV_1', 'USER_0']
        const streams = Object.fromEntries(rows.map(([home, mirrors], n) => [keys[n], { home, mirrors }]))
        check({ regions: { ...regions, d: region('d') }, streams })
      },
    ),
    { numRuns: 500 },
  )
  t.ok(accepted > 20, `${accepted} accepted`)
  t.end()
})

t.test('any text is parsed or refused with TopologyError', t => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json()), source => {
      try {
        parse(source)
      } catch (error) {
        if (!TopologyError.is(error)) throw error
      }
    }),
    { numRuns: 500 },
  )
  t.end()
})
