// Work on the executor, done one piece at a time in the order of arrival, with limits on what may
// wait.

import { ShoalError } from "../core/index.ts";

export interface QueueLimits {
  items: number;
  // Of payloads that wait.
  bytes: number;
}

interface Item {
  bytes: number;
  run(): Promise<void>;
}

export class WorkQueue {
  readonly #limits: QueueLimits;
  readonly #onFailure: (thrown: unknown) => void;
  readonly #rest: (busyMs: number) => Promise<void>;
  readonly #items: Item[] = [];
  #bytes = 0;
  #busy = false;

  // `onFailure` is given what a piece of work threw; the queue goes on with the next. `rest` is
  // told how long a piece took, and awaited before the next.
  constructor(
    limits: QueueLimits,
    onFailure: (thrown: unknown) => void,
    rest: (busyMs: number) => Promise<void> = () => Promise.resolve(),
  ) {
    this.#limits = limits;
    this.#onFailure = onFailure;
    this.#rest = rest;
  }

  get length(): number {
    return this.#items.length + (this.#busy ? 1 : 0);
  }

  // Throws resource_exhausted when too much waits already.
  push(bytes: number, run: () => Promise<void>): void {
    const { items, bytes: bytesMax } = this.#limits;
    if (this.#items.length >= items || this.#bytes + bytes > bytesMax) {
      throw new ShoalError(
        "resource_exhausted",
        `${this.#items.length} frames with ${this.#bytes} bytes wait here, limits are ${items} ` +
          `and ${bytesMax}`,
      );
    }
    this.pushAlways(bytes, run);
  }

  // For work that bounds itself, such as freeing memory.
  pushAlways(bytes: number, run: () => Promise<void>): void {
    this.#items.push({ bytes, run });
    this.#bytes += bytes;
    if (!this.#busy) void this.#drain();
  }

  async #drain(): Promise<void> {
    this.#busy = true;
    for (let item = this.#items.shift(); item !== undefined; item = this.#items.shift()) {
      this.#bytes -= item.bytes;
      const startedMs = performance.now();
      try {
        await item.run();
      } catch (thrown) {
        this.#onFailure(thrown);
      }
      await this.#rest(performance.now() - startedMs);
    }
    this.#busy = false;
  }
}
