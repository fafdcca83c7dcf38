const latin = (text: string): Buffer => Buffer.from(text, 'latin1')
const hex = (text: string): Buffer => Buffer.from(text.replace(/\s/g, ''), 'hex')
const base64 = (text: string): Buffer => Buffer.from(text, 'base64')
const u16 = (value: number): Buffer => Buffer.from([value & 0xff, value >> 8])
const u32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return bytes
}

const crcTable = Array.from({ length: 256 }, (_, n) => {
  let value = n
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1
  return value >>> 0
})
const crc32 = (bytes: Uint8Array): number => {
  let crc = 0xffffffff
  for (const byte of bytes) crc = (crcTable[(crc ^ byte) & 0xff]! ^ (crc >>> 8)) >>> 0
  return (crc ^ 0xffffffff) >>> 0
}

/** A ZIP archive of stored files, with names and contents. */
export const zip = (...files: (readonly [name: string, content: string])[]): Buffer => {
  const entries: Buffer[] = []
  const directory: Buffer[] = []
  let at = 0
  for (const [name, content] of files) {
    const data = Buffer.from(content)
    const common = Buffer.concat([
      ...[0, 0, 0, 0].map(u16),
      u32(crc32(data)),
      u32(data.length),
      u32(data.length),
      u16(Buffer.byteLength(name)),
      u16(0),
    ])
    const entry = Buffer.concat([latin('PK\x03\x04'), u16(20), common, Buffer.from(name), data])
    directory.push(
      Buffer.concat([latin('PK\x01\x02'), u16(20), u16(20), common, Buffer.alloc(10), u32(at)]),
      Buffer.from(name),
    )
    entries.push(entry)
    at += entry.length
  }
  const central = Buffer.concat(directory)
  const end = [u16(0), u16(0), u16(files.length), u16(files.length), u32(central.length), u32(at), u16(0)]
  return Buffer.concat([...entries, central, latin('PK\x05\x06'), ...end])
}

/** An office document of the formats since 2007. */
const office = (part: string, type: string): Buffer =>
  zip(
    [
      '[Content_Types].xml',
      `<Types><Override PartName="/${part}" ContentType="application/vnd.openxmlformats-officedocument.${type}.main+xml"/></Types>`,
    ],
    ['_rels/.rels', '<Relationships/>'],
    [part, '<document/>'],
  )
const openDocument = (kind: string): Buffer =>
  zip(['mimetype', `application/vnd.oasis.opendocument.${kind}`], ['content.xml', '<office/>'])

/** A compound file of the office formats before 2007, and of documents with a password. */
const compound = (stream: string): Buffer =>
  Buffer.concat([
    hex('d0cf11e0a1b11ae1'),
    Buffer.alloc(16),
    hex('3e000300feff0900'),
    Buffer.alloc(480, 0xff),
    Buffer.from(stream, 'utf16le'),
    Buffer.alloc(512),
  ])

const box = (type: string, ...content: Buffer[]): Buffer => {
  const data = Buffer.concat(content)
  const size = Buffer.alloc(4)
  size.writeUInt32BE(data.length + 8)
  return Buffer.concat([size, latin(type), data])
}
/** An ISO base media file with these brands. */
const isoMedia = (...brands: string[]): Buffer =>
  Buffer.concat([
    box('ftyp', latin(brands[0]!), Buffer.alloc(4), latin(brands.join(''))),
    box('moov', box('mvhd', Buffer.alloc(100))),
    box('mdat', Buffer.alloc(64, 1)),
  ])
const riff = (form: string, ...content: Buffer[]): Buffer => {
  const data = Buffer.concat([latin(form), ...content])
  return Buffer.concat([latin('RIFF'), u32(data.length), data])
}
const ogg = (packet: string): Buffer =>
  Buffer.concat([
    latin('OggS'),
    Buffer.from([0, 2]),
    Buffer.alloc(20),
    Buffer.from([1, packet.length]),
    latin(packet),
  ])
const matroska = (docType: string): Buffer =>
  Buffer.concat([
    hex('1a45dfa3'),
    Buffer.from([0x80 | (docType.length + 19)]),
    hex('42868101 42f78101 42f28104 42f38108'),
    hex('4282'),
    Buffer.from([0x80 | docType.length]),
    latin(docType),
    hex('18538067 01ffffffffffffff'),
    Buffer.alloc(64),
  ])
const mpegFrames = Buffer.concat(
  Array.from({ length: 4 }, () => Buffer.concat([hex('fffb9064'), Buffer.alloc(413)])),
)
const id3 = (bytes: number): Buffer =>
  Buffer.concat([
    latin('ID3\x04\0\0'),
    Buffer.from([(bytes >> 21) & 127, (bytes >> 14) & 127, (bytes >> 7) & 127, bytes & 127]),
    Buffer.alloc(bytes),
  ])

const html = '<!doctype html><title>x</title><script>alert(1)</script>'
const pdf = '%PDF-1.7\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n'
const csv = 'name;value\ntea;1\n'

/** Small files as programs and devices write them. */
export const samples = {
  png: base64(
    'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==',
  ),
  jpeg: base64(
    '/9j/4AAQSkZJRgABAQEASABIAAD/2wBDAP//////////////////////////////////////////////////////////////////////////////////////wgALCAABAAEBAREA/8QAFBABAAAAAAAAAAAAAAAAAAAAAP/aAAgBAQABPxA=',
  ),
  gif: base64('R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7'),
  webp: base64('UklGRiIAAABXRUJQVlA4IBYAAAAwAQCdASoBAAEADsD+JaQAA3AAAAAA'),
  avif: isoMedia('avif', 'mif1', 'miaf'),
  avifOfGeneralBrand: isoMedia('mif1', 'avif', 'miaf'),
  heic: isoMedia('heic', 'mif1'),
  tiff: hex('49492a0008000000 0000'),
  bmp: Buffer.concat([latin('BM'), u32(58), u32(0), u32(54), u32(40), Buffer.alloc(40)]),
  ico: Buffer.concat([hex('000001000100 0101 0000 0100 2000'), Buffer.alloc(60)]),
  svg: Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'),
  psd: Buffer.concat([latin('8BPS\0\x01'), Buffer.alloc(40)]),
  dwg: Buffer.concat([latin('AC1032'), Buffer.alloc(40)]),
  mp3: mpegFrames,
  mp3WithCover: Buffer.concat([id3(20_000), mpegFrames]),
  wav: riff(
    'WAVE',
    latin('fmt '),
    u32(16),
    hex('0100 0100 401f0000 401f0000 0100 0800'),
    latin('data'),
    u32(0),
  ),
  flac: Buffer.concat([latin('fLaC'), hex('80000022'), Buffer.alloc(34, 1)]),
  opus: ogg('OpusHead\x01\x02\0\0\0\0\0\0\0\0\0'),
  vorbis: ogg('\x01vorbis\0\0\0\0\x02'),
  theora: ogg('\x80theora\x03\x02\x01'),
  aac: Buffer.concat([hex('fff15080 2e7ffc'), Buffer.alloc(360)]),
  m4a: isoMedia('M4A ', 'mp42', 'isom'),
  mp4: isoMedia('isom', 'iso2', 'mp41'),
  m4v: isoMedia('M4V ', 'mp42'),
  threeGp: isoMedia('3gp4', 'isom'),
  mov: isoMedia('qt  '),
  webm: matroska('webm'),
  mkv: matroska('matroska'),
  avi: riff('AVI ', latin('LIST'), Buffer.alloc(40)),
  midi: Buffer.concat([latin('MThd'), hex('00000006 0001 0001 0060'), Buffer.alloc(20)]),
  amr: Buffer.concat([latin('#!AMR\n'), Buffer.alloc(40)]),
  pdf: latin(pdf),
  pdfAfterBom: Buffer.concat([hex('efbbbf'), latin(pdf)]),
  pdfAfterLineBreak: latin(`\r\n${pdf}`),
  docx: office('word/document.xml', 'wordprocessingml.document'),
  xlsx: office('xl/workbook.xml', 'spreadsheetml.sheet'),
  pptx: office('ppt/presentation.xml', 'presentationml.presentation'),
  encryptedDocx: compound('EncryptedPackage'),
  doc: compound('WordDocument'),
  xls: compound('Workbook'),
  ppt: compound('PowerPoint Document'),
  msg: compound('__properties_version1.0'),
  rtf: latin('{\\rtf1\\ansi tea}'),
  odt: openDocument('text'),
  ods: openDocument('spreadsheet'),
  epub: zip(['mimetype', 'application/epub+zip'], ['META-INF/container.xml', '<container/>']),
  apk: zip(['AndroidManifest.xml', '\x03\0\b\0'], ['classes.dex', 'dex\n035\0']),
  jar: zip(['META-INF/MANIFEST.MF', 'Manifest-Version: 1.0\n']),
  zip: zip(['a.txt', 'tea']),
  emptyZip: zip(),
  gzip: hex('1f8b0800000000000003 4b4c040000 00ffff'),
  sevenZip: Buffer.concat([hex('377abcaf271c0004'), Buffer.alloc(32)]),
  rar: Buffer.concat([latin('Rar!\x1a\x07\x01\0'), Buffer.alloc(32)]),
  tar: Buffer.concat([
    latin('a.txt'),
    Buffer.alloc(252),
    latin('ustar\x0000'),
    Buffer.alloc(247),
    Buffer.alloc(1024),
  ]),
  csv: Buffer.from(csv),
  csvUtf16: Buffer.concat([hex('fffe'), Buffer.from(csv, 'utf16le')]),
  textLatin1: latin('gr\xfcner Tee\r\n'),
  textShiftJis: hex('8bde92 83'),
  textBom: Buffer.from('\ufefftea'),
  markdown: Buffer.from('# Tea\n'),
  html: Buffer.from(html),
  htmlUtf16: Buffer.concat([hex('fffe'), Buffer.from(html, 'utf16le')]),
  xml: Buffer.from('<?xml version="1.0"?><tea/>'),
  script: Buffer.from('alert(1)'),
  typescript: Buffer.from('export const tea = 1\n'),
  json: Buffer.from('{"tea":1}'),
  playlist: Buffer.from('#EXTM3U\nhttp://example.com/a.mp3\n'),
  ics: Buffer.from('BEGIN:VCALENDAR\r\nVERSION:2.0\r\nEND:VCALENDAR\r\n'),
  vcf: Buffer.from('BEGIN:VCARD\r\nVERSION:3.0\r\nFN:Una\r\nEND:VCARD\r\n'),
  eml: Buffer.from('From: una@example.com\r\nSubject: tea\r\n\r\ntea\r\n'),
  woff2: Buffer.concat([latin('wOF2'), hex('00010000'), Buffer.alloc(40)]),
  ttf: Buffer.concat([hex('0001000000 0a'), Buffer.alloc(40)]),
  sqlite: Buffer.concat([latin('SQLite format 3\0'), Buffer.alloc(84)]),
  parquet: latin('PAR1\0\0\0\0PAR1'),
  wasm: hex('0061736d01000000'),
  exe: Buffer.concat([latin('MZ'), Buffer.alloc(62)]),
  gltf: Buffer.concat([latin('glTF'), u32(2), u32(12)]),
  noBytesOfMeaning: Buffer.from([0]),
} as const satisfies Record<string, Buffer>

export type Sample = keyof typeof samples
