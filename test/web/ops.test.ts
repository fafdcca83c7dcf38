import { join } from 'node:path'
import axe from 'axe-core'
import { chromium } from 'playwright-core'
import t from 'tap'
import { spawnConfab, untilReady } from '../harness/confab-process.ts'
import { RawClient } from '../harness/raw-client.ts'
import { runConfab } from '../harness/replay.ts'
import { tempFolder } from '../harness/temp-folder.ts'
import { chromiumRequired, findChromium } from './find-chromium.ts'

const executablePath = findChromium()
const secret = 'Zq8vN1xT4kR7mB2wY9cL5pD3hS6gJ0fA'
t.setTimeout(110_000)

t.test('the page /ops', { skip: executablePath === undefined && !chromiumRequired() }, async t => {
  const data = join(tempFolder(t), 'data')
  const env = { CONFAB_JWT_SECRET: secret }
  const confab = await untilReady(await spawnConfab({ data, env, dev: false }))
  t.teardown(() => confab.stop())
  const tokenOf = async (...args: string[]) =>
    (await runConfab(['token', '--data', data, ...args], env)).stdout.trim()
  const admin = await tokenOf('--user', 'olga', '--role', 'admin')
  const user = await tokenOf('--user', 'alice')
  const client = await RawClient.open(`${confab.url.replace('http', 'ws')}/v1/ws`)
  t.teardown(() => client.close())
  await client.ok('hello', { token: user })
  await client.ok('create', { c: 'kitchen', kind: 'group', title: 'Kitchen', members: ['ben'] })

  await t.test('the state needs a token with the role; the page has a strict policy', async t => {
    const statusOf = async (token?: string) =>
      (
        await fetch(`${confab.adminUrl}/v1/admin/state`, {
          headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
        })
      ).status
    t.equal(await statusOf(), 401)
    t.equal(await statusOf('junk'), 401)
    t.equal(await statusOf(user), 403)
    t.equal(await statusOf(admin), 200)
    t.equal((await fetch(`${confab.adminUrl}/v1/admin/state?token=${admin}`)).status, 401, 'not in a URL')
    t.equal((await fetch(`${confab.url}/ops`)).status, 404, 'not on the public port')
    const page = await fetch(`${confab.adminUrl}/ops`)
    t.match(
      page.headers.get('content-security-policy'),
      /^default-src 'none'; script-src 'self'; style-src 'self';/,
    )
    t.notMatch(await page.text(), /kitchen|CONV_0/i)
  })

  const browser = await chromium.launch({
    ...(executablePath === undefined ? {} : { executablePath }),
    args: ['--no-sandbox', '--disable-gpu'],
  })
  t.teardown(() => browser.close())
  for (const width of [1280, 320])
    for (const colorScheme of ['light', 'dark'] as const)
      await t.test(`${width} pixels, ${colorScheme}`, async t => {
        const context = await browser.newContext({ viewport: { width, height: 800 }, colorScheme })
        t.teardown(() => context.close())
        const page = await context.newPage()
        const urls: string[] = []
        page.on('request', request => urls.push(request.url()))
        page.on('pageerror', error => t.fail(String(error)))
        page.on('console', message => {
          if (message.type() === 'error' && !message.text().includes('403')) t.fail(message.text())
        })
        const violations = async () => {
          await page.evaluate(axe.source)
          return await page.evaluate(async () => {
            const { violations } = await (globalThis as unknown as { axe: typeof axe }).axe.run(document)
            return violations.flatMap(({ id, nodes }) =>
              nodes.map(({ target }) => `${id}: ${target.join(' ')}`),
            )
          })
        }
        await page.goto(`${confab.adminUrl}/ops`)
        t.same(await violations(), [], 'the form')
        await page.getByLabel('Token').fill(user)
        await page.keyboard.press('Enter')
        await page.getByText('claim confab_role').waitFor()
        await page.getByLabel('Token').fill(admin)
        await page.keyboard.press('Enter')
        await page.getByRole('rowheader', { name: 'CONV_0' }).waitFor()
        const edges = page.getByRole('table', { name: 'Edge nodes' })
        t.match(await edges.locator('tbody tr td').allTextContents(), ['1'])
        t.equal(
          (await page.getByRole('table', { name: 'Projections' }).locator('tbody tr').count()) > 3,
          true,
        )
        await page.getByRole('img', { name: 'Sockets in the last hour: now 1' }).waitFor()
        // A line needs two samples.
        const drawn = await page.waitForFunction(() => {
          const accent = getComputedStyle(document.documentElement).getPropertyValue('--accent').trim()
          const canvases = [...document.querySelectorAll('canvas')]
          return (
            canvases.length === 3 &&
            canvases.every(canvas => {
              const pixels = canvas.getContext('2d')!.getImageData(0, 0, canvas.width, canvas.height).data
              const colours = Array.from({ length: pixels.length / 4 }, (_, i) =>
                pixels.slice(4 * i, 4 * i + 3),
              )
              const hex = (rgb: Uint8ClampedArray) =>
                `#${[...rgb].map(one => one.toString(16).padStart(2, '0')).join('')}`
              return colours.some(rgb => hex(rgb) === accent)
            })
          )
        })
        t.ok(await drawn.jsonValue(), 'plots have data')
        t.ok(
          await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth),
          'no sideways scroll',
        )
        t.same(await violations(), [], 'the system')
        if (process.env.CONFAB_SCREENSHOTS !== undefined)
          await page.screenshot({
            path: `${process.env.CONFAB_SCREENSHOTS}/ops-${width}-${colorScheme}.png`,
            fullPage: true,
          })
        t.notOk(
          urls.some(url => url.includes(admin) || url.includes(user)),
          'no token in a URL',
        )
        await page.reload()
        await page.getByRole('rowheader', { name: 'CONV_0' }).waitFor()
        await page.getByRole('button', { name: 'Forget the token' }).click()
        await page.getByLabel('Token').waitFor()
        t.equal(await page.evaluate(() => sessionStorage.length + localStorage.length), 0)
      })

  const { stdout } = await runConfab(['audit', 'ls', '--action', 'state.read', '--json', '--data', data], env)
  t.match(JSON.parse(stdout), [{ actor: 'token:olga', outcome: 'done' }])
  t.equal(JSON.parse(stdout).length, 1, 'an open page is recorded once')

  await runConfab(['sessions', 'end', '--user', 'olga', '--yes', '--data', data], env)
  const ask = () =>
    fetch(`${confab.adminUrl}/v1/admin/state`, { headers: { authorization: `Bearer ${admin}` } })
  while ((await ask()).status === 200);
  t.equal((await ask()).status, 401, 'revoked')
})
