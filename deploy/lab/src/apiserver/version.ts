/** What `/version` says. */

/** The API level that is spoken, with the mark that this is not the real server. */
export const VERSION: Readonly<Record<string, string>> & { readonly gitVersion: string } = {
  major: '1',
  minor: '33',
  gitVersion: 'v1.33.0+ovenbird-lab',
  gitCommit: '',
  gitTreeState: 'clean',
  buildDate: '1970-01-01T00:00:00Z',
  goVersion: '',
  compiler: 'node',
  platform: `${process.platform}/${process.arch === 'x64' ? 'amd64' : process.arch}`,
};
