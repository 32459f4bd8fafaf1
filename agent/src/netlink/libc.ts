import koffi from 'koffi';

/** What a function of the C library returned, and `errno` where that is -1. */
export interface Outcome {
  readonly result: number;
  readonly errno: number;
}

/** The process itself brings the C library, whichever one it is. */
const library = koffi.load(null);

/** Calls at once, on this thread: for what never waits for a lock of the kernel. */
function immediate(prototype: string): (...args: readonly unknown[]) => Outcome {
  const native = library.func(prototype) as (...args: readonly unknown[]) => number;
  return (...args) => ({ result: native(...args), errno: koffi.errno() });
}

/** Calls on another thread. */
function deferred(prototype: string): (...args: readonly unknown[]) => Promise<Outcome> {
  const native = library.func(prototype) as unknown as { readonly async: (...args: readonly unknown[]) => void };
  return (...args) =>
    new Promise((resolve, reject) => {
      native.async(...args, (error: Error | null, result: number) => {
        // koffi carries the errno of the call over to its callback.
        if (error === null) resolve({ result, errno: koffi.errno() });
        else reject(error);
      });
    });
}

/** setns(2): moves this thread, and no other one, into a namespace. */
export const setns: (fd: number, type: number) => Outcome = immediate('int setns(int, int)');
/** socket(2) */
export const socket: (domain: number, type: number, protocol: number) => Outcome =
  immediate('int socket(int, int, int)');
/** setsockopt(2) */
export const setsockopt: (fd: number, level: number, name: number, value: Buffer, size: number) => Outcome = immediate(
  'int setsockopt(int, int, int, const void *, uint)',
);
/** recv(2) */
export const recv: (fd: number, buffer: Buffer, size: number, flags: number) => Outcome = immediate(
  'long recv(int, void *, ulong, int)',
);
/** close(2) */
export const close: (fd: number) => Outcome = immediate('int close(int)');
/** send(2), which on a netlink socket is when the kernel does the work. */
export const send: (fd: number, buffer: Buffer, size: number, flags: number) => Promise<Outcome> = deferred(
  'long send(int, const void *, ulong, int)',
);
/** ioctl(2) with a pointer. */
export const ioctl: (fd: number, request: number, argument: Buffer) => Promise<Outcome> = deferred(
  'int ioctl(int, ulong, void *)',
);
/** Address of a buffer's bytes, which must be more than 64: V8 may move smaller ones. */
export const addressOf = (buffer: Buffer): bigint => koffi.address(buffer);
