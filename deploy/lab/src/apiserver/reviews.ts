/** Reviews: objects that are only created to ask a question (authorization.k8s.io, authentication.k8s.io). */
import { badRequest } from './api-error.ts';
import type { User } from './authentication.ts';
import type { ReviewResource } from './discovery.ts';
import { isObject, type JsonObject, listOf, objectOf, stringOf } from './json.ts';
import type { Attributes, Authorizer } from './rbac.ts';

const AUTHORIZATION = 'authorization.k8s.io';
const AUTHENTICATION = 'authentication.k8s.io';

/** The reviews that are served. */
export const REVIEWS: readonly ReviewResource[] = [
  { group: AUTHENTICATION, version: 'v1', plural: 'selfsubjectreviews', kind: 'SelfSubjectReview', namespaced: false },
  {
    group: AUTHORIZATION,
    version: 'v1',
    plural: 'selfsubjectaccessreviews',
    kind: 'SelfSubjectAccessReview',
    namespaced: false,
  },
  {
    group: AUTHORIZATION,
    version: 'v1',
    plural: 'selfsubjectrulesreviews',
    kind: 'SelfSubjectRulesReview',
    namespaced: false,
  },
  {
    group: AUTHORIZATION,
    version: 'v1',
    plural: 'subjectaccessreviews',
    kind: 'SubjectAccessReview',
    namespaced: false,
  },
];

/** The review resource at a path, if it is one. */
export function findReview(group: string, version: string, plural: string): ReviewResource | undefined {
  return REVIEWS.find((item) => item.group === group && item.version === version && item.plural === plural);
}

function attributes(spec: JsonObject): Attributes {
  const resource = objectOf(spec['resourceAttributes']);
  const other = objectOf(spec['nonResourceAttributes']);
  const text = (value: unknown): string => stringOf(value) ?? '';
  return {
    verb: text(resource['verb'] ?? other['verb']),
    group: text(resource['group']),
    resource: text(resource['resource']),
    subresource: text(resource['subresource']),
    namespace: text(resource['namespace']),
    name: text(resource['name']),
    path: text(other['path']),
  };
}

/** Answers a review: the body with its `status` filled in. */
export function answerReview(review: ReviewResource, body: unknown, user: User, authorizer: Authorizer): JsonObject {
  if (!isObject(body)) throw badRequest(`the body must be a ${review.kind}`);
  const spec = objectOf(body['spec']);
  const answer: JsonObject = {
    kind: review.kind,
    apiVersion: `${review.group}/${review.version}`,
    metadata: { creationTimestamp: null },
    spec,
  };
  switch (review.plural) {
    case 'selfsubjectreviews':
      delete answer['spec'];
      answer['status'] = { userInfo: { username: user.name, groups: user.groups } };
      break;
    case 'selfsubjectrulesreviews': {
      const rules = authorizer.rules(user, stringOf(spec['namespace']) ?? '');
      answer['status'] = {
        resourceRules: rules
          .filter((rule) => rule.resources.length > 0)
          .map(({ verbs, apiGroups, resources, resourceNames }) => ({
            verbs,
            apiGroups,
            resources,
            ...(resourceNames.length === 0 ? {} : { resourceNames }),
          })),
        nonResourceRules: rules
          .filter((rule) => rule.nonResourceUrls.length > 0)
          .map(({ verbs, nonResourceUrls }) => ({ verbs, nonResourceURLs: nonResourceUrls })),
        incomplete: false,
      };
      break;
    }
    default: {
      const subject =
        review.plural === 'subjectaccessreviews'
          ? {
              name: stringOf(spec['user']) ?? '',
              groups: listOf(spec['groups']).filter((item) => typeof item === 'string'),
            }
          : user;
      answer['status'] = { allowed: authorizer.authorize(subject, attributes(spec)) };
    }
  }
  return answer;
}
