import type { Page } from 'playwright-core'
import type { Test } from 'tap'
import { signDevToken } from '../../src/infra/tokens/index.ts'
import { testSecret } from '../harness/confab.ts'
import { browserTests } from './browser-tests.ts'

const test = await browserTests()

const sidebar = (page: Page) => page.locator('.sidebar-header').waitFor()
const signedInAs = async (page: Page): Promise<string | null> => {
  await sidebar(page)
  return await page.locator('.me').textContent()
}
const question = (page: Page, user: string) =>
  page.getByRole('alertdialog', { name: `Sign in as ${user}?` }).waitFor()
const answer = (page: Page, name: 'Cancel' | 'Sign in') => page.getByRole('button', { name }).click()

/** Checks that neither the address nor the history has a secret. */
const hasNoSecret = async (t: Test, page: Page, secret: string): Promise<void> => {
  t.notOk(page.url().includes(secret), page.url())
  for (let entries = await page.evaluate(() => history.length); entries > 1; entries--) {
    await page.goBack()
    t.notOk(page.url().includes(secret), page.url())
  }
}

for (const by of ['name', 'token'] as const)
  test(`a link with a ${by} asks before it signs in`, async ({ t, confab, open }) => {
    const token = await signDevToken(testSecret, `mia-${by}`)
    const link = by === 'name' ? `/?user=mia-${by}` : `/#token=${token}`
    const page = await open(undefined, { path: link })
    await question(page, `mia-${by}`)
    t.notMatch(page.url(), /user=|token=/, 'removed before the answer')
    t.equal(await page.locator(':focus').textContent(), 'Cancel', 'Enter does not sign in')
    await answer(page, 'Cancel')
    await page.getByLabel('Your name').waitFor()
    t.equal(confab.edge.connections(), 0)

    await page.reload()
    await page.getByLabel('Your name').waitFor()
  })

test('an accepted link signs in, and a reload needs no answer', async ({ t, open }) => {
  const token = await signDevToken(testSecret, 'nils')
  const page = await open(undefined, { path: `/#token=${token}` })
  await question(page, 'nils')
  await answer(page, 'Sign in')
  t.equal(await signedInAs(page), 'nils')
  await page.reload()
  t.equal(await signedInAs(page), 'nils')
  await hasNoSecret(t, page, token)
})

test('a link in a tab that is signed in asks too', async ({ t, confab, open }) => {
  const page = await open('olga')
  const token = await signDevToken(testSecret, 'paul')
  for (const reply of ['Cancel', 'Sign in'] as const) {
    await page.evaluate(hash => {
      location.hash = hash
    }, `token=${token}`)
    await question(page, 'paul')
    t.notOk(page.url().includes(token))
    await answer(page, reply)
    t.equal(await signedInAs(page), reply === 'Cancel' ? 'olga' : 'paul')
  }
  while (confab.edge.connections() > 1) await page.waitForTimeout(50)
  t.pass('the session of before is closed')
  await hasNoSecret(t, page, token)
})

test('a link whose token names no user says so', async ({ open }) => {
  const page = await open(undefined, { path: '/#token=abc' })
  await page.getByRole('alertdialog', { name: 'Sign in with this link?' }).waitFor()
})

test('the call page asks too', async ({ t, open }) => {
  const page = await open(undefined, { path: '/call/?user=rita' })
  await question(page, 'rita')
  t.notMatch(page.url(), /user=/)
  await answer(page, 'Sign in')
  await page.getByRole('heading', { name: 'rita' }).waitFor()
})

test('devices: lists the sessions, and logs one out after a question', async ({ t, open }) => {
  const lost = await open('sven', { expectErrors: true })
  const page = await open('sven')
  await page.getByRole('button', { name: 'Devices' }).click()
  const dialog = page.getByRole('dialog', { name: 'Devices' })
  await dialog.locator('.device').nth(1).waitFor()
  t.match(await dialog.locator('.device').first().textContent(), /Chrome on Linux.*this device/s)
  t.match(
    await dialog.locator('.device').nth(1).textContent(),
    /Chrome on Linux.*127\.0\.0\.1.*since.*active/s,
  )
  t.equal(await dialog.getByRole('button', { name: /^Log out/ }).count(), 1, 'not this device')
  const logOut = dialog.getByRole('button', { name: 'Log out Chrome on Linux' })
  await logOut.click()
  t.equal(await page.locator(':focus').textContent(), 'Cancel')
  await page.keyboard.press('Enter')
  t.equal(await dialog.locator('.device').count(), 2)
  await logOut.click()
  await dialog.getByRole('alertdialog').getByRole('button', { name: 'Log out', exact: true }).click()
  await dialog.locator('.device').nth(1).waitFor({ state: 'detached' })
  t.match(await dialog.locator('.device').first().textContent(), /this device/)
  await lost.getByText('This session was ended').waitFor()
  await lost.getByRole('button', { name: 'Sign in again' }).click()
  await lost.getByLabel('Your name').waitFor()
})
