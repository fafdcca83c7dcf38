import { join } from 'node:path'
import { openMediaFolder } from '../../src/infra/media-folder/index.ts'
import { tempFolder } from '../harness/temp-folder.ts'
import { mediaTests } from './media.ts'

mediaTests('folder', t => openMediaFolder(join(tempFolder(t), 'media')))
