import { beforeEach, describe, expect, it } from 'vitest';
import { AccessLog } from './access-log.ts';
import { Authenticator, impersonated, type User } from './authentication.ts';
import { type Attributes, Authorizer, denial, impersonation } from './rbac.ts';
import { requestInfo } from './request-info.ts';
import { answerReview, findReview } from './reviews.ts';
import { type TestApi, testApi } from './testing/api.ts';

let api: TestApi;
let authorizer: Authorizer;
beforeEach(async () => {
  api = await testApi();
  authorizer = new Authorizer(api.store);
});

const RBAC = '/apis/rbac.authorization.k8s.io/v1';
const joe: User = { name: 'joe', groups: ['system:authenticated'] };
const robot: User = { name: 'system:serviceaccount:ns:robot', groups: ['system:authenticated'] };

function wants(method: string, url: string): Attributes {
  const info = requestInfo(method, url);
  const { verb, group, resource, subresource, namespace, name, path } = info;
  return { verb, group, resource, subresource, namespace, name, path: info.isResource ? '' : path };
}
const may = (user: User, method: string, url: string): boolean => authorizer.authorize(user, wants(method, url));
const role = (name: string, rules: object[], namespace?: string): void => {
  const url = namespace === undefined ? `${RBAC}/clusterroles` : `${RBAC}/namespaces/${namespace}/roles`;
  api.call('POST', url, { metadata: { name }, rules });
};
const bind = (name: string, kind: string, subject: object, namespace?: string): void => {
  const url = namespace === undefined ? `${RBAC}/clusterrolebindings` : `${RBAC}/namespaces/${namespace}/rolebindings`;
  api.call('POST', url, { metadata: { name }, roleRef: { kind, name }, subjects: [subject] });
};

describe('authorization', () => {
  it('lets masters do anything, others only discover', () => {
    expect(may({ name: 'root', groups: ['system:masters'] }, 'DELETE', '/api/v1/nodes/a')).toBe(true);
    expect(may(joe, 'GET', '/api/v1/nodes')).toBe(false);
    expect(may(joe, 'GET', '/apis')).toBe(true);
    expect(may(joe, 'GET', '/openapi/v3')).toBe(true);
    expect(may({ name: 'system:anonymous', groups: ['system:unauthenticated'] }, 'GET', '/apis')).toBe(false);
    expect(may({ name: 'system:anonymous', groups: ['system:unauthenticated'] }, 'GET', '/readyz')).toBe(true);
  });

  it('matches verbs, groups, resources, sub-resources and names', () => {
    role('r', [
      { verbs: ['get', 'list'], apiGroups: [''], resources: ['pods', 'pods/log'] },
      { verbs: ['*'], apiGroups: ['apps'], resources: ['*/scale'] },
      { verbs: ['update'], apiGroups: [''], resources: ['configmaps'], resourceNames: ['one'] },
    ]);
    bind('r', 'ClusterRole', { kind: 'User', name: 'joe' });
    expect(may(joe, 'GET', '/api/v1/namespaces/x/pods')).toBe(true);
    expect(may(joe, 'GET', '/api/v1/namespaces/x/pods?watch=true')).toBe(false);
    expect(may(joe, 'GET', '/api/v1/namespaces/x/pods/a/log')).toBe(true);
    expect(may(joe, 'GET', '/api/v1/namespaces/x/pods/a/exec')).toBe(false);
    expect(may(joe, 'PATCH', '/apis/apps/v1/namespaces/x/deployments/a/scale')).toBe(true);
    expect(may(joe, 'PUT', '/api/v1/namespaces/x/configmaps/one')).toBe(true);
    expect(may(joe, 'PUT', '/api/v1/namespaces/x/configmaps/two')).toBe(false);
  });

  it('keeps RoleBindings to their namespace, and knows service accounts', () => {
    role('r', [{ verbs: ['get'], apiGroups: [''], resources: ['secrets'] }], 'default');
    bind('r', 'Role', { kind: 'ServiceAccount', name: 'robot', namespace: 'ns' }, 'default');
    expect(may(robot, 'GET', '/api/v1/namespaces/default/secrets/a')).toBe(true);
    expect(may(robot, 'GET', '/api/v1/namespaces/kube-system/secrets/a')).toBe(false);
    expect(may(joe, 'GET', '/api/v1/namespaces/default/secrets/a')).toBe(false);
  });

  it('sees changes of roles and bindings at once', () => {
    expect(may(joe, 'GET', '/api/v1/nodes')).toBe(false);
    role('r', [{ verbs: ['list'], apiGroups: [''], resources: ['nodes'] }]);
    bind('r', 'ClusterRole', { kind: 'Group', name: 'system:authenticated' });
    expect(may(joe, 'GET', '/api/v1/nodes')).toBe(true);
    api.call('DELETE', `${RBAC}/clusterrolebindings/r`);
    expect(may(joe, 'GET', '/api/v1/nodes')).toBe(false);
  });

  it('adds up aggregated roles', () => {
    bind('view', 'ClusterRole', { kind: 'User', name: 'joe' });
    expect(may(joe, 'GET', '/api/v1/namespaces/x/pods')).toBe(true);
    expect(may(joe, 'GET', '/api/v1/namespaces/x/secrets')).toBe(false);
  });

  it('says who cannot do what', () => {
    expect(denial(joe, wants('GET', '/apis/apps/v1/namespaces/x/deployments/d/scale'))).toBe(
      'User "joe" cannot get resource "deployments/scale" in API group "apps" in the namespace "x"',
    );
  });

  it('answers reviews', () => {
    const review = findReview('authorization.k8s.io', 'v1', 'selfsubjectaccessreviews');
    if (review === undefined) throw new Error('not served');
    const spec = { resourceAttributes: { verb: 'list', resource: 'pods', namespace: 'x' } };
    expect(answerReview(review, { spec }, joe, authorizer)).toMatchObject({ status: { allowed: false } });
    bind('view', 'ClusterRole', { kind: 'User', name: 'joe' });
    expect(answerReview(review, { spec }, joe, authorizer)).toMatchObject({ status: { allowed: true } });
  });
});

describe('authentication', () => {
  const authenticator = new Authenticator([{ token: 't', user: 'system:serviceaccount:ns:robot', groups: ['g'] }]);

  it('maps tokens to users and their groups', () => {
    expect(authenticator.authenticate('Bearer t')).toEqual({
      name: 'system:serviceaccount:ns:robot',
      groups: ['g', 'system:authenticated', 'system:serviceaccounts', 'system:serviceaccounts:ns'],
    });
    expect(authenticator.authenticate(undefined).name).toBe('system:anonymous');
    expect(() => authenticator.authenticate('Bearer x')).toThrow(expect.objectContaining({ code: 401 }));
    expect(() => authenticator.authenticate('Basic t')).toThrow(expect.objectContaining({ code: 401 }));
  });
});

describe('impersonation', () => {
  it('reads whom `kubectl --as` names, and asks for the verb on each of them', () => {
    expect(impersonated({})).toBeUndefined();
    expect(() => impersonated({ 'impersonate-group': 'g' })).toThrow(expect.objectContaining({ code: 400 }));
    const other = impersonated({ 'impersonate-user': 'system:serviceaccount:ns:robot', 'impersonate-group': 'a, b' });
    expect(other?.user.groups).toEqual([
      'a',
      'b',
      'system:authenticated',
      'system:serviceaccounts',
      'system:serviceaccounts:ns',
    ]);
    const wanted = impersonation('system:serviceaccount:ns:robot', other?.groups ?? []);
    expect(wanted.map(({ resource, namespace, name }) => [resource, namespace, name])).toEqual([
      ['serviceaccounts', 'ns', 'robot'],
      ['groups', '', 'a'],
      ['groups', '', 'b'],
    ]);
    const may = (user: User): boolean => wanted.every((each) => authorizer.authorize(user, each));
    role('as-robot', [
      { verbs: ['impersonate'], apiGroups: [''], resources: ['serviceaccounts'], resourceNames: ['robot'] },
      { verbs: ['impersonate'], apiGroups: [''], resources: ['groups'], resourceNames: ['a'] },
    ]);
    bind('as-robot', 'ClusterRole', { kind: 'User', name: 'joe' });
    expect(may(joe)).toBe(false);
    expect(may({ name: 'root', groups: ['system:masters'] })).toBe(true);
  });
});

describe('access log', () => {
  it('counts what each user did', () => {
    const log = new AccessLog();
    log.record('joe', wants('GET', '/api/v1/pods'), true);
    log.record('joe', wants('GET', '/api/v1/pods'), false);
    log.record('joe', wants('GET', '/version'), true);
    expect(log.items()).toEqual([
      { user: 'joe', verb: 'list', group: '', resource: 'pods', subresource: '', count: 2, denied: 1 },
    ]);
  });
});

describe('requests', () => {
  it.each([
    ['GET', '/api/v1/namespaces/a', 'get', 'namespaces', '', 'a', ''],
    ['PUT', '/api/v1/namespaces/a/finalize', 'update', 'namespaces', '', 'a', 'finalize'],
    ['GET', '/api/v1/namespaces/a/pods?watch=1', 'watch', 'pods', 'a', '', ''],
    ['DELETE', '/apis/x.y/v1/things', 'deletecollection', 'things', '', '', ''],
    ['GET', '/apis/x.y/v1/things?fieldSelector=metadata.name%3Dq', 'list', 'things', '', 'q', ''],
    ['POST', '/api/v1/namespaces/a/pods/p/binding', 'create', 'pods', 'a', 'p', 'binding'],
  ])('%s %s', (method, url, verb, resource, namespace, name, subresource) => {
    expect(requestInfo(method, url)).toMatchObject({ verb, resource, namespace, name, subresource, isResource: true });
  });

  it.each(['/', '/api', '/apis', '/api/v1', '/apis/apps', '/apis/apps/v1', '/version'])('%s is no object', (path) => {
    expect(requestInfo('GET', path).isResource).toBe(false);
  });
});
