const ulid = /^[0-7][0-9A-HJKMNP-TV-Z]{25}$/
const crockford = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'

/**
 * The time that an id carries, ms since 1970, when it has the form of a UUIDv7 (RFC 9562) or a ULID; -1 otherwise. Nothing depends on its being true: it is a
 * number that goes with the id, by which ids made later can be told from older ones.
 */
export const timeOfId = (id: string): number => {
  if (id.length === 36) {
    if (id[14] !== '7' || id[8] !== '-' || id[13] !== '-') return -1
    const time = Number.parseInt(id.slice(0, 8), 16) * 0x10000 + Number.parseInt(id.slice(9, 13), 16)
    return time >= 0 ? time : -1
  }
  if (id.length === 26 && ulid.test(id)) {
    let time = 0
    for (let i = 0; i < 10; i++) time = time * 32 + crockford.indexOf(id[i]!)
    return time
  }
  return -1
}
