import type { Reader } from '../store/state.ts';
import type { SecurityGroup } from './model.ts';

/**
 * Why rules of a group cannot name another one; undefined when they can. It has to be of the same VPC, because VPCs may share
 * addresses.
 */
export function remoteProblem(group: SecurityGroup, remote: string, reader: Reader): string | undefined {
  const found = reader.get('GroupBinding', remote);
  if (found === undefined) return `SecurityGroup "${remote}" does not exist`;
  if (found.vpc !== group.vpc)
    return `SecurityGroup "${remote}" is of vpc "${found.vpc}", and this one of "${group.vpc}"; name a group of the same vpc`;
  return undefined;
}
