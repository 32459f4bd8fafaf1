import * as z from 'zod';

/** Entries a second that a node writes at most for an object's logged rules. */
export const logRate = (): z.ZodInt =>
  z.int().min(1).max(1000).meta({
    description: 'Log entries a second that a node writes at most for the logged rules of this object.',
    default: 10,
  });

/** Log entries a second where an object does not say otherwise. */
export const DEFAULT_LOG_RATE = 10;
