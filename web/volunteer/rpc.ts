// Calls between a Worker and its owner as typed messages: every request has one reply, which is a
// result or an error.

import { ShoalError, type ErrorCode } from "../core/index.ts";

// Names of calls, with what goes in and what comes out.
export type CallTable = Record<string, { in: unknown; out: unknown }>;

export type CallRequest<C extends CallTable> = {
  [K in keyof C & string]: { id: number; call: K; in: C[K]["in"] };
}[keyof C & string];

export type CallReply<C extends CallTable> = {
  [K in keyof C & string]:
    | { id: number; call: K; out: C[K]["out"] }
    | { id: number; call: K; err: { code: ErrorCode; detail: string } };
}[keyof C & string];

// The side of a Worker or of a worker's global scope that this module needs.
export interface Port {
  postMessage(message: unknown, transfer: Transferable[]): void;
  addEventListener(type: "message", listener: (event: MessageEvent) => void): void;
}

interface Pending {
  resolve(out: unknown): void;
  reject(error: ShoalError): void;
}

// Asks. One per port.
export class Caller<C extends CallTable> {
  readonly #port: Port;
  readonly #pending = new Map<number, Pending>();
  #nextId = 1;
  #broken: ShoalError | undefined;

  constructor(port: Port) {
    this.#port = port;
    port.addEventListener("message", (event) => this.#onReply(event.data as CallReply<C>));
  }

  call<K extends keyof C & string>(
    call: K,
    input: C[K]["in"],
    transfer: Transferable[] = [],
  ): Promise<C[K]["out"]> {
    if (this.#broken !== undefined) return Promise.reject(this.#broken);
    const id = this.#nextId++;
    return new Promise<C[K]["out"]>((resolve, reject) => {
      this.#pending.set(id, { resolve: resolve as (out: unknown) => void, reject });
      this.#port.postMessage({ id, call, in: input }, transfer);
    });
  }

  // The other side is gone: every call under way, and every later one, fails with `error`.
  fail(error: ShoalError): void {
    this.#broken = error;
    for (const pending of this.#pending.values()) pending.reject(error);
    this.#pending.clear();
  }

  #onReply(reply: CallReply<C>): void {
    const pending = this.#pending.get(reply.id);
    if (pending === undefined) return;
    this.#pending.delete(reply.id);
    if ("err" in reply) pending.reject(new ShoalError(reply.err.code, reply.err.detail));
    else pending.resolve(reply.out);
  }
}

// What answers a call; `transfer` collects buffers of the result that are handed over.
export type Handlers<C extends CallTable> = {
  [K in keyof C & string]: (
    input: C[K]["in"],
    transfer: Transferable[],
  ) => Promise<C[K]["out"]> | C[K]["out"];
};

// Answers the calls that come in on `port`, one after the other in the order of their arrival.
export function serveCalls<C extends CallTable>(port: Port, handlers: Handlers<C>): void {
  let tail = Promise.resolve();
  port.addEventListener("message", (event) => {
    const request = event.data as CallRequest<C>;
    tail = tail.then(() => answer(port, handlers, request));
  });
}

async function answer<C extends CallTable>(
  port: Port,
  handlers: Handlers<C>,
  request: CallRequest<C>,
): Promise<void> {
  const { id, call } = request;
  try {
    const transfer: Transferable[] = [];
    const out = await handlers[call](request.in, transfer);
    port.postMessage({ id, call, out }, transfer);
  } catch (thrown) {
    const { code, detail } = ShoalError.from(thrown);
    port.postMessage({ id, call, err: { code, detail } }, []);
  }
}
