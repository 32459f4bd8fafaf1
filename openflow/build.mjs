// Makes the package that can be published, in openflow/dist or the directory given. Then: npm publish openflow/dist
import { buildLibrary } from '../scripts/build-library.mjs';

buildLibrary(import.meta.dirname, {}, process.argv[2]);
