/**
 * The few functions of the Metadata Reflection proposal that @peculiar/x509 (through tsyringe) asks for when it is loaded:
 * values kept per target and key. Installed only where nobody else did.
 */
interface MetadataReflect {
  getMetadata?: (key: unknown, target: object) => unknown;
  getOwnMetadata?: (key: unknown, target: object) => unknown;
  hasOwnMetadata?: (key: unknown, target: object) => boolean;
  defineMetadata?: (key: unknown, value: unknown, target: object) => void;
}

const reflect = Reflect as MetadataReflect;

if (reflect.getMetadata === undefined) {
  const values = new WeakMap<object, Map<unknown, unknown>>();
  const own = (key: unknown, target: object): unknown => values.get(target)?.get(key);
  const inherited = (key: unknown, target: object): unknown => {
    for (let at: object | null = target; at !== null; at = Object.getPrototypeOf(at) as object | null) {
      const map = values.get(at);
      if (map?.has(key)) return map.get(key);
    }
    return undefined;
  };
  reflect.getMetadata = inherited;
  reflect.getOwnMetadata = own;
  reflect.hasOwnMetadata = (key, target) => values.get(target)?.has(key) ?? false;
  reflect.defineMetadata = (key, value, target) => {
    const map = values.get(target) ?? new Map<unknown, unknown>();
    map.set(key, value);
    values.set(target, map);
  };
}
