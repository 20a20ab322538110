import { describe, expect, it } from "vitest";

import { KvCache } from "./kv_cache.ts";

const slot = { block: 3, heads: 2, head_size: 2 };

// [heads, length, size] with values that say where they belong: head * 1000 + position * 10 + i.
function values(from: number, to: number, sign = 1): Float32Array<ArrayBuffer> {
  const all: number[] = [];
  for (let head = 0; head < slot.heads; ++head) {
    for (let position = from; position < to; ++position) {
      for (let i = 0; i < slot.head_size; ++i) all.push(sign * (head * 1000 + position * 10 + i));
    }
  }
  return Float32Array.from(all);
}

function part(
  from: number,
  to: number,
): { from: number; to: number } & Record<"keys" | "values", Float32Array<ArrayBuffer>> {
  return { from, to, keys: values(from, to), values: values(from, to, -1) };
}

describe("KvCache", () => {
  it("puts parts together, in order and overlapping", () => {
    const cache = new KvCache([slot], 8);
    cache.write(3, part(0, 3));
    cache.write(3, part(2, 5));
    expect(cache.length).toBe(5);
    expect(cache.read(3, 0, 5)).toEqual(part(0, 5));
    expect(cache.read(3, 1, 3)).toEqual(part(1, 3));
    expect(cache.read(3, 2, 2)).toEqual(part(2, 2));
  });

  it("forgets later positions", () => {
    const cache = new KvCache([slot], 8);
    cache.write(3, part(0, 5));
    cache.truncate(2);
    expect(cache.length).toBe(2);
    expect(cache.layer(3).keys).toEqual(values(0, 2));
    cache.truncate(4);
    expect(cache.length).toBe(2);
    cache.truncate(0);
    expect(cache.layer(3).values.length).toBe(0);
  });

  it("refuses gaps, overflow and wrong shapes", () => {
    const cache = new KvCache([slot], 4);
    cache.write(3, part(0, 2));
    expect(() => cache.write(3, part(3, 4))).toThrow("out_of_range");
    expect(() => cache.write(3, part(2, 5))).toThrow("out_of_range");
    expect(() => cache.read(3, 1, 3)).toThrow("out_of_range");
    expect(() => cache.write(3, { ...part(2, 3), keys: values(2, 4) })).toThrow("each should be 4");
    expect(() => cache.write(9, part(0, 1))).toThrow("not_found");
    expect(cache.length).toBe(2);
  });

  it("has no length without layers", () => {
    expect(new KvCache([], 4).length).toBeUndefined();
  });
});
