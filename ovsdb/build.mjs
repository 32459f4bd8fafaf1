// Makes the package that can be published, in ovsdb/dist or the directory given. Then: npm publish ovsdb/dist
import { buildLibrary } from '../scripts/build-library.mjs';

buildLibrary(import.meta.dirname, { bin: { 'ovsdb-types': 'lib/codegen-cli.js' } }, process.argv[2]);
