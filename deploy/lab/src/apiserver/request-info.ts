/** What a request asks for, read from its method and URL as k8s.io/apiserver/pkg/endpoints/request does. */

/** The parts of a request that routing, authorization and the access log need. */
export interface RequestInfo {
  readonly path: string;
  readonly query: URLSearchParams;
  /** False for /healthz, /version, discovery and the like. */
  readonly isResource: boolean;
  /** get, list, watch, create, update, patch, delete, deletecollection; for other paths the method in lower case. */
  readonly verb: string;
  readonly group: string;
  readonly version: string;
  /** '' for cluster-scoped resources and lists over all namespaces. */
  readonly namespace: string;
  readonly resource: string;
  readonly subresource: string;
  readonly name: string;
}

const NAMESPACE_SUBRESOURCES: ReadonlySet<string> = new Set(['status', 'finalize']);

/** Whether a query value means true; an empty value counts, as in Kubernetes. */
export function truthy(value: string | null): boolean {
  return value !== null && value !== 'false' && value !== '0';
}

function verbOf(method: string, name: string, watch: boolean): string {
  switch (method) {
    case 'POST':
      return 'create';
    case 'PUT':
      return 'update';
    case 'PATCH':
      return 'patch';
    case 'DELETE':
      return name === '' ? 'deletecollection' : 'delete';
    default:
      if (watch) return 'watch';
      return name === '' ? 'list' : 'get';
  }
}

/** Parses method and URL. `url` is path and query as in the request line. */
export function requestInfo(method: string, url: string): RequestInfo {
  const mark = url.indexOf('?');
  const path = mark < 0 ? url : url.slice(0, mark);
  const query = new URLSearchParams(mark < 0 ? '' : url.slice(mark + 1));
  const parts = path
    .split('/')
    .filter((part) => part !== '')
    .map(decode);
  const other: RequestInfo = {
    path,
    query,
    isResource: false,
    verb: method.toLowerCase(),
    group: '',
    version: '',
    namespace: '',
    resource: '',
    subresource: '',
    name: '',
  };
  let group = '';
  let version: string | undefined;
  let rest: string[];
  if (parts[0] === 'api') {
    version = parts[1];
    rest = parts.slice(2);
  } else if (parts[0] === 'apis') {
    group = parts[1] ?? '';
    version = parts[2];
    rest = parts.slice(3);
  } else {
    return other;
  }
  if (version === undefined || rest.length === 0) return other;
  let namespace = '';
  if (rest[0] === 'namespaces' && rest.length > 1) {
    namespace = rest[1] ?? '';
    if (rest.length > 2 && !NAMESPACE_SUBRESOURCES.has(rest[2] ?? '')) rest = rest.slice(2);
  }
  const resource = rest[0] ?? '';
  let name = rest[1] ?? '';
  const subresource = rest.slice(2).join('/');
  const watch = truthy(query.get('watch'));
  const verb = verbOf(method, name, watch);
  if (verb === 'list' || verb === 'watch' || verb === 'deletecollection') {
    const pinned = /(?:^|,)metadata\.name==?([^,]+)(?:,|$)/.exec(query.get('fieldSelector') ?? '');
    if (pinned !== null && name === '') name = pinned[1] ?? '';
  }
  return {
    path,
    query,
    isResource: true,
    verb,
    group,
    version,
    namespace: resource === 'namespaces' && group === '' ? '' : namespace,
    resource,
    subresource,
    name,
  };
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
