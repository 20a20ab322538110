// KV caches as plain arrays in JavaScript, for runtimes that take the past and return the present
// at every run. One layer's keys (and values) are [heads, length, head_size].

import type { KvSlot } from "../../core/index.ts";
import { ShoalError } from "../../core/index.ts";
import type { KvPart } from "../executor.ts";

export interface LayerKv {
  keys: Float32Array<ArrayBuffer>;
  values: Float32Array<ArrayBuffer>;
}

// Positions [from, to) of `data`, which is [heads, length, size].
export function slicePositions(
  data: Float32Array,
  slot: KvSlot,
  length: number,
  from: number,
  to: number,
): Float32Array<ArrayBuffer> {
  const { heads, head_size: size } = slot;
  const part = new Float32Array(heads * (to - from) * size);
  for (let head = 0; head < heads; ++head) {
    const start = (head * length + from) * size;
    part.set(data.subarray(start, start + (to - from) * size), head * (to - from) * size);
  }
  return part;
}

// The first `keep` positions of `data` [heads, length, size], followed by all `added` positions of
// `more` [heads, added, size].
export function appendPositions(
  data: Float32Array,
  more: Float32Array,
  slot: KvSlot,
  length: number,
  keep: number,
  added: number,
): Float32Array<ArrayBuffer> {
  const { heads, head_size: size } = slot;
  const joined = new Float32Array(heads * (keep + added) * size);
  for (let head = 0; head < heads; ++head) {
    const source = head * length * size;
    const target = head * (keep + added) * size;
    joined.set(data.subarray(source, source + keep * size), target);
    joined.set(more.subarray(head * added * size, (head + 1) * added * size), target + keep * size);
  }
  return joined;
}

// The caches of one session's layers; all layers have the same length except while parts are being
// imported.
export class KvCache {
  readonly capacity: number;
  readonly #slots: ReadonlyMap<number, KvSlot>;
  readonly #layers = new Map<number, LayerKv>();
  readonly #lengths = new Map<number, number>();

  constructor(slots: readonly KvSlot[], capacity: number) {
    this.capacity = capacity;
    this.#slots = new Map(slots.map((slot) => [slot.block, slot]));
    for (const slot of slots) {
      this.#layers.set(slot.block, { keys: new Float32Array(0), values: new Float32Array(0) });
      this.#lengths.set(slot.block, 0);
    }
  }

  // Undefined for a stage without layers, which keeps nothing.
  get length(): number | undefined {
    if (this.#lengths.size === 0) return undefined;
    return Math.min(...this.#lengths.values());
  }

  layer(block: number): LayerKv {
    const layer = this.#layers.get(block);
    if (layer === undefined) throw new ShoalError("not_found", `block ${block} keeps no KV here`);
    return layer;
  }

  // `length` positions, which replace what was there.
  replace(block: number, layer: LayerKv, length: number): void {
    this.layer(block);
    this.#layers.set(block, layer);
    this.#lengths.set(block, length);
  }

  truncate(length: number): void {
    for (const [block, slot] of this.#slots) {
      const has = this.#lengths.get(block) ?? 0;
      if (has <= length) continue;
      const { keys, values } = this.layer(block);
      this.replace(
        block,
        {
          keys: slicePositions(keys, slot, has, 0, length),
          values: slicePositions(values, slot, has, 0, length),
        },
        length,
      );
    }
  }

  read(block: number, from: number, to: number): KvPart {
    const { keys, values } = this.layer(block);
    const slot = this.#slot(block);
    const has = this.#lengths.get(block) ?? 0;
    if (from > to || to > has) {
      throw new ShoalError(
        "out_of_range",
        `positions [${from}, ${to}) of block ${block} asked for, [0, ${has}) are held`,
      );
    }
    return {
      from,
      to,
      keys: slicePositions(keys, slot, has, from, to),
      values: slicePositions(values, slot, has, from, to),
    };
  }

  write(block: number, part: KvPart): void {
    const { keys, values } = this.layer(block);
    const slot = this.#slot(block);
    const has = this.#lengths.get(block) ?? 0;
    const { from, to } = part;
    const added = to - from;
    if (added < 0 || from > has || to > this.capacity) {
      throw new ShoalError(
        "out_of_range",
        `positions [${from}, ${to}) of block ${block} offered, [0, ${has}) are held of at most ` +
          `${this.capacity}`,
      );
    }
    const expected = slot.heads * added * slot.head_size;
    if (part.keys.length !== expected || part.values.length !== expected) {
      throw new ShoalError(
        "invalid_argument",
        `block ${block}: ${part.keys.length} keys and ${part.values.length} values, each should ` +
          `be ${expected}`,
      );
    }
    this.replace(
      block,
      {
        keys: appendPositions(keys, part.keys, slot, has, from, added),
        values: appendPositions(values, part.values, slot, has, from, added),
      },
      to,
    );
  }

  #slot(block: number): KvSlot {
    const slot = this.#slots.get(block);
    if (slot === undefined) throw new ShoalError("not_found", `block ${block} keeps no KV here`);
    return slot;
  }
}
