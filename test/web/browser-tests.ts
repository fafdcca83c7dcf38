import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core'
import tap, { type Test } from 'tap'
import { signDevToken } from '../../src/infra/tokens/index.ts'
import { startConfab, type TestConfab, testSecret } from '../harness/confab.ts'
import { chromiumRequired, findChromium } from './find-chromium.ts'

export interface OpenOptions extends BrowserContextOptions {
  /** The conversation in the address. */
  readonly c?: string
  /** Another page than the chat: `/call/`. */
  readonly path?: string
  /** The address of another confab than the tests' own. */
  readonly url?: string
  /** Allows console errors that belong to the test, such as refused connections. */
  readonly expectErrors?: boolean
}

export interface BrowserTest {
  readonly t: Test
  readonly confab: TestConfab
  /**
   * Opens the page in a new browser context, signed in unless `user` is undefined. Any console error fails the test.
   */
  open(user: string | undefined, options?: OpenOptions): Promise<Page>
}

const flags = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

/**
 * Runs tests in a real Chromium, with extra flags, against a confab that serves the page. Without Chromium they are
 * skipped, or fail where it is required.
 */
export const browserTests = async (
  ...more: string[]
): Promise<(name: string, run: (test: BrowserTest) => Promise<void>) => void> => {
  const executablePath = findChromium()
  if (executablePath === undefined) {
    const reason = 'no Chromium found (set CONFAB_CHROMIUM, or install Debian’s chromium)'
    return name => {
      tap.test(name, chromiumRequired() ? {} : { skip: reason }, async t => {
        t.fail(reason)
      })
    }
  }
  tap.setTimeout(110_000)
  const browser = await chromium.launch({ executablePath, args: [...flags, ...more] })
  tap.teardown(() => browser.close())
  const confab = await startConfab(tap, {
    edge: { web: true, signDevToken: user => signDevToken(testSecret, user) },
  })
  return (name, run) => {
    tap.test(name, async t => {
      await run({
        t,
        confab,
        open: (user, options) => open(t, browser, user, { url: confab.url, ...options }),
      })
    })
  }
}

const open = async (
  t: Test,
  browser: Browser,
  user: string | undefined,
  { url, path = '/', c, expectErrors = false, ...options }: OpenOptions,
): Promise<Page> => {
  const context = await browser.newContext({ viewport: { width: 1100, height: 760 }, ...options })
  context.setDefaultTimeout(20_000)
  t.teardown(() => context.close())
  const page = await context.newPage()
  page.on('pageerror', error => t.fail(`${user}: ${error.stack ?? error.message}`))
  page.on('console', message => {
    if (message.type() === 'error' && !expectErrors) t.fail(`${user}’s console: ${message.text()}`)
  })
  await page.goto(
    `${url}${path}${user === undefined ? '' : `?user=${user}`}${c === undefined ? '' : `#/c/${c}`}`,
  )
  // By the keyboard: a mouse would stay over the page that follows.
  if (user !== undefined) await page.getByRole('button', { name: 'Sign in' }).press('Enter')
  if (user !== undefined && path === '/') await page.locator('.sidebar-header').waitFor({ state: 'attached' })
  return page
}

/** The row of a message in the open conversation, by text. */
export const row = (page: Page, text: string) => page.locator('.message').filter({ hasText: text })

/** The row of a conversation in the list, by name. */
export const line = (page: Page, name: string) => page.locator('.conversation').filter({ hasText: name })

/** Writes into the composer and sends. */
export const say = async (page: Page, text: string): Promise<void> => {
  await page.locator('#composer').fill(text)
  await page.locator('#composer').press('Enter')
  await row(page, text).waitFor()
}
