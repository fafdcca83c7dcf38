import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const run = (command: string, ...args: string[]) => execFileSync(command, args, { stdio: 'pipe' })

/** Why no disk can be mounted here; false if it can. */
export const cannotMount = ((): string | false => {
  const folder = mkdtempSync(join(tmpdir(), 'confab-mount-'))
  try {
    run('mount', '-t', 'tmpfs', 'tmpfs', folder)
    run('umount', folder)
    return false
  } catch {
    return 'this process may not mount a file system'
  } finally {
    rmdirSync(folder)
  }
})()

/** A file system of its own, to be filled or made read-only. */
export interface MountedDisk {
  readonly folder: string
  resize(size: string): void
  makeReadOnly(): void
}

/** Mounts a disk until the test ends. `size` in tmpfs syntax, such as `8m`. */
export const mountDisk = (
  t: { teardown(done: () => void): void },
  folder: string,
  size: string,
): MountedDisk => {
  mkdirSync(folder)
  run('mount', '-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', folder)
  t.teardown(() => run('umount', '-l', folder))
  return {
    folder,
    resize: to => run('mount', '-o', `remount,size=${to}`, folder),
    makeReadOnly: () => run('mount', '-o', 'remount,ro', folder),
  }
}
