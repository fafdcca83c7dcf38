import { signDevToken } from '../../src/infra/tokens/index.ts'
import { startConfab, testSecret } from '../harness/confab.ts'
import { newS3Media } from '../harness/s3-bucket.ts'
import { png } from '../harness/upload.ts'
import { type BrowserTest, browserTests, row } from './browser-tests.ts'

const test = await browserTests()

const attachAndSee = async ({ t, confab, open }: BrowserTest): Promise<void> => {
  const { url } = confab
  const seed = await confab.connect('ann')
  await seed.ok('create', { c: 'kitchen', kind: 'group', title: 'Kitchen', members: ['ben'] })
  const ann = await open('ann', { url, c: 'kitchen', expectErrors: true })
  const ben = await open('ben', { url, c: 'kitchen' })
  const files = ann.locator('.composer input[type=file]')
  const picture = { name: 'Kanne.png', mimeType: 'image/png', buffer: png() }
  const notes = { name: 'notes & more.txt', mimeType: 'text/plain', buffer: Buffer.from('Put the kettle on') }

  t.comment('a file by itself is a message')
  await files.setInputFiles([picture, notes])
  await ann.getByRole('list', { name: 'Files to send' }).getByText('Kanne.png').waitFor()
  await ann.getByRole('button', { name: 'Send', disabled: false }).click()
  await ann.locator('.attach-row').waitFor({ state: 'detached' })
  const image = row(ben, 'notes & more.txt').getByRole('img', { name: 'Kanne.png' })
  await image.waitFor()
  await ben.waitForFunction(() => {
    const found = document.querySelector<HTMLImageElement>('.picture img')
    return found?.complete === true && found.naturalWidth === 1
  })
  t.pass('the picture is shown')
  const saving = ben.waitForEvent('download')
  await ben.getByRole('button', { name: /^notes & more.txt 17 B/ }).click()
  const download = await saving
  t.equal(download.suggestedFilename(), 'notes & more.txt')
  const chunks: Buffer[] = []
  for await (const chunk of await download.createReadStream()) chunks.push(chunk as Buffer)
  t.equal(Buffer.concat(chunks).toString(), 'Put the kettle on')

  t.comment('a file with a false type is reported and removed')
  await files.setInputFiles([{ name: 'not.png', mimeType: 'image/png', buffer: Buffer.from('words') }])
  const chip = ann.locator('.chip', { hasText: 'not.png' })
  await chip.getByRole('alert').waitFor()
  await ann.locator('#composer').fill('Look at this')
  t.ok(await ann.getByRole('button', { name: 'Send' }).isDisabled(), 'it keeps the message')
  await chip.getByRole('button', { name: 'Remove not.png' }).click()
  await files.setInputFiles([{ ...notes, name: 'second.txt' }])
  await ann.getByRole('button', { name: 'Send', disabled: false }).click()
  await row(ben, 'Look at this')
    .getByRole('button', { name: /^second.txt/ })
    .waitFor()

  t.comment('a deleted message shows no files')
  await row(ann, 'Look at this').hover()
  await ann.getByRole('button', { name: 'Delete', exact: true }).click()
  await ann.getByRole('dialog').getByRole('button', { name: 'Delete' }).click()
  await row(ben, 'This message was deleted.').waitFor()
  t.equal(await ben.getByRole('button', { name: /^second.txt/ }).count(), 0)
}

test('files are attached, seen, and saved', attachAndSee)

test('files are attached, seen, and saved: S3, from another origin', async browser => {
  const { t } = browser
  const mediaStore = await newS3Media(t)
  if (mediaStore === undefined) return
  const edge = { web: true, signDevToken: (user: string) => signDevToken(testSecret, user) }
  await attachAndSee({ ...browser, confab: await startConfab(t, { mediaStore, edge }) })
})
