import { createClient } from '../../src/client/index.ts'
import { type ConfabProcess, spawnConfab, untilReady } from '../harness/confab-process.ts'
import { tempFolder } from '../harness/temp-folder.ts'
import { browserTests, row, say } from './browser-tests.ts'

const test = await browserTests()

/** Another client, beside the browsers. */
const clientOf = (t: { teardown(fn: () => void): void }, server: ConfabProcess, user: string) => {
  const client = createClient({
    url: `${server.url.replace('http', 'ws')}/v1/ws`,
    token: () => server.token(user),
  })
  t.teardown(() => client.close())
  void client.connect()
  return client
}

test('the page survives a restart of the server', async ({ t, open }) => {
  const data = tempFolder(t)
  const start = (port?: number) =>
    spawnConfab({ data, ...(port === undefined ? {} : { port }) }).then(untilReady)
  const first = await start()
  t.teardown(() => first.stop())
  const { url } = first
  const seed = clientOf(t, first, 'dora')
  await seed.request('create', { c: 'tea', kind: 'group', title: 'Tea', members: ['alice', 'bob'] })
  seed.close()
  const alice = await open('alice', { url, c: 'tea', expectErrors: true })
  const bob = await open('bob', { url, c: 'tea', expectErrors: true })
  await say(alice, 'before')
  await row(bob, 'before').waitFor()

  t.equal(await first.stop(), 0)
  await alice.getByText(/^No connection/).waitFor()
  await alice.locator('#composer').fill('written without a connection')
  await alice.locator('#composer').press('Enter')
  await alice.locator('[data-pending=sending]', { hasText: 'written without' }).waitFor()

  const again = await start(Number(new URL(url).port))
  t.teardown(() => again.stop())
  await clientOf(t, again, 'dora').send('tea', 'said meanwhile')
  // They would reconnect by themselves, after 15 s at the latest.
  for (const page of [alice, bob]) await page.evaluate(() => dispatchEvent(new Event('online')))
  await row(alice, 'said meanwhile').waitFor()
  await row(bob, 'said meanwhile').waitFor()
  await row(bob, 'written without').waitFor()
  await alice.locator('[data-pending]').waitFor({ state: 'detached' })
  await alice.getByText(/^No connection/).waitFor({ state: 'detached' })

  await say(bob, 'after')
  await row(alice, 'after').waitFor()
  for (const page of [alice, bob])
    t.same(
      await page.locator('.message .text').allTextContents(),
      await bob.locator('.message .text').allTextContents(),
      'both show the same, each once',
    )
  t.equal(await alice.locator('.message').count(), 4)
})

test('a refused message is marked, and can be retried or discarded', async ({ t, confab, open }) => {
  const dan = await confab.connect('dan')
  const eve = await confab.connect('eve')
  await dan.ok('create', { c: 'two', kind: 'direct', members: ['eve'] })
  const page = await open('dan', { c: 'two' })
  await say(page, 'fine')
  await eve.ok('block', { user: 'dan', on: true })
  await page.locator('#composer').fill('not wanted')
  await page.locator('#composer').press('Enter')
  await page.locator('[data-pending=failed]', { hasText: 'Not sent' }).waitFor()
  await eve.ok('block', { user: 'dan', on: false })
  await page.getByRole('button', { name: 'Send again' }).click()
  await page.locator('[data-pending]').waitFor({ state: 'detached' })
  await row(page, 'not wanted').waitFor()
  await eve.ok('block', { user: 'dan', on: true })
  await page.locator('#composer').fill('nor this')
  await page.locator('#composer').press('Enter')
  await page.getByRole('button', { name: 'Discard' }).click()
  t.equal(await row(page, 'nor this').count(), 0)
})
