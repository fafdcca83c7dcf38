import type { Page } from 'playwright-core'
import { browserTests } from './browser-tests.ts'

const test = await browserTests(
  '--use-fake-device-for-media-stream',
  '--use-fake-ui-for-media-stream',
  // mDNS names, used for local addresses, cannot be resolved everywhere.
  '--disable-features=WebRtcHideLocalIpsWithMdns',
)

const path = '/call/'

const button = (page: Page, name: string) => page.getByRole('button', { name, exact: true })

/** Waits until pictures of the peer arrive and keep arriving. */
const seesTheOther = (page: Page) =>
  page.waitForFunction(() => {
    const video = document.querySelector<HTMLVideoElement>('video.remote')
    return video !== null && video.videoWidth > 0 && video.getVideoPlaybackQuality().totalVideoFrames > 10
  })

test('two users call each other: video goes between the browsers, both ways', async ({ t, confab, open }) => {
  const seed = await confab.connect('alice')
  await seed.ok('create', { c: 'pair', kind: 'direct', members: ['bob'] })
  const [alice, bob] = [await open('alice', { path }), await open('bob', { path })]
  await button(alice, 'Call bob').click()
  await bob.getByRole('alertdialog', { name: 'alice is calling' }).waitFor()
  await alice.getByText('calling …').waitFor()
  await button(bob, 'Answer').click()
  await Promise.all([seesTheOther(alice), seesTheOther(bob)])
  for (const page of [alice, bob]) await page.locator('.stage[data-phase="talking"]').waitFor()
  t.match(await alice.getByRole('status').textContent(), /^0:\d\d$/)

  t.comment('the camera goes off and on')
  await button(bob, 'Camera').click()
  await bob.locator('video.local').waitFor({ state: 'hidden' })
  t.equal(await button(bob, 'Camera').getAttribute('aria-pressed'), 'false')

  await button(alice, 'Hang up').click()
  await alice.getByText('bob: hung up').waitFor()
  await bob.getByText('alice: hung up').waitFor()
  const head = (await seed.ok('history', { c: 'pair' })).head
  t.equal(head, 1, 'the log contains nothing of it')
})

test('all devices ring; the one that answers has the call', async ({ open, confab }) => {
  const [ann, phone, laptop] = [
    await open('ann', { path }),
    await open('ben', { path }),
    await open('ben', { path }),
  ]
  await ann.getByLabel('Another user').fill('ben')
  await button(ann, 'Call').click()
  for (const page of [phone, laptop])
    await page.getByRole('alertdialog', { name: 'ann is calling' }).waitFor()
  await button(laptop, 'Answer').click()
  await phone.getByText('ann: answered on another device').waitFor()
  await Promise.all([seesTheOther(ann), seesTheOther(laptop)])
  const rude = await confab.connect('carl')
  await rude.ok('create', { c: 'rude', kind: 'direct', members: ['ann'] })
  await rude.ok('call', { c: 'rude', to: 'ann', call: 'x', kind: 'offer', data: 'v=0' })
  await rude.find(frame => frame.type === 'call' && frame.data === 'busy')
  await laptop.close()
  await ann.getByText('ben: hung up').waitFor()
})

test('a call is declined, and an unknown user is reported', async ({ open, confab }) => {
  const [dan, eva] = [await open('dan', { path }), await open('eva', { path })]
  const seed = await confab.connect('dan')
  await seed.ok('create', { c: 'dan-eva', kind: 'direct', members: ['eva'] })
  await button(dan, 'Call eva').click()
  await button(eva, 'Decline').click()
  await dan.getByText('eva: declined').waitFor()
  const socket = await confab.connect('eva')
  await socket.ok('block', { user: 'dan', on: true })
  await button(dan, 'Call eva').click()
  await dan.getByText('eva: One of the two users has blocked the other.').waitFor()
})

test('two users who call each other at once have one call', async ({ open, confab }) => {
  const seed = await confab.connect('fay')
  await seed.ok('create', { c: 'glare', kind: 'direct', members: ['gus'] })
  const [fay, gus] = [await open('fay', { path }), await open('gus', { path })]
  const buttons = [button(fay, 'Call gus'), button(gus, 'Call fay')]
  for (const one of buttons) await one.waitFor()
  // Before either offer is made: opening the camera takes longer.
  await Promise.all(buttons.map(one => one.dispatchEvent('click')))
  await Promise.all([seesTheOther(fay), seesTheOther(gus)])
})
