// Sessions at tables, on a GPU that copies bytes: whatever they do, each one's KV stays its own.

import { describe, expect, it } from "vitest";

import { ShoalError } from "../../core/index.ts";
import { GpuKv, KvBuffers, type KvShape } from "./gpu_kv.ts";
import { GpuTables } from "./gpu_tables.ts";

const shape: KvShape = {
  slots: [
    { block: 1, heads: 2, head_size: 4 },
    { block: 2, heads: 1, head_size: 8 },
  ],
  type: "float32",
};
const room = 256;

class FakeBuffer {
  readonly size: number;
  readonly data: Uint8Array<ArrayBuffer>;
  isDestroyed = false;

  constructor(size: number) {
    this.size = size;
    this.data = new Uint8Array(size);
  }

  destroy(): void {
    expect(this.isDestroyed).toBe(false);
    this.isDestroyed = true;
  }

  async mapAsync(): Promise<void> {}

  getMappedRange(): ArrayBuffer {
    return this.data.buffer;
  }
}

class FakeDevice {
  readonly buffers: FakeBuffer[] = [];
  // Bytes; more are refused.
  memory = Infinity;

  readonly queue = {
    submit: (copies: (() => void)[]): void => copies.forEach((copy) => copy()),
    writeBuffer: (to: FakeBuffer, at: number, data: Uint8Array, from: number, count: number) => {
      to.data.set(data.subarray(from, from + count), at);
    },
  };

  get used(): number {
    const live = this.buffers.filter(({ isDestroyed }) => !isDestroyed);
    return live.reduce((sum, { size }) => sum + size, 0);
  }

  createBuffer({ size }: { size: number }): FakeBuffer {
    const buffer = new FakeBuffer(size);
    this.buffers.push(buffer);
    return buffer;
  }

  createCommandEncoder() {
    const copies: (() => void)[] = [];
    return {
      copyBufferToBuffer: (
        ...[from, at, to, target, bytes]: [FakeBuffer, number, FakeBuffer, number, number]
      ): void => {
        copies.push(() => {
          expect(from.isDestroyed || to.isDestroyed).toBe(false);
          to.data.set(from.data.subarray(at, at + bytes), target);
        });
      },
      finish: (): (() => void) => () => copies.forEach((copy) => copy()),
    };
  }

  pushErrorScope(): void {}

  async popErrorScope(): Promise<{ message: string } | null> {
    return this.used > this.memory ? { message: "no room" } : null;
  }
}

const FakeTensor = { fromGpuBuffer: () => ({}) };

function setUp(placesMax = 16) {
  const device = new FakeDevice();
  const create = (places: number): Promise<KvBuffers> =>
    KvBuffers.create(device as never, FakeTensor as never, shape, places, room);
  const tables = new GpuTables(create, () => placesMax);
  const open = async (capacity = 200): Promise<GpuKv> =>
    new GpuKv(await create(1), shape.slots, capacity);
  return { device, tables, open };
}

// `count` more positions, all of the value.
function append(kv: GpuKv, value: number, count = 1): void {
  const from = kv.length!;
  for (const { block, heads, head_size: size } of shape.slots) {
    const values = new Float32Array(heads * count * size).fill(value);
    kv.write(block, { from, to: from + count, keys: values, values });
  }
}

async function valuesOf(kv: GpuKv): Promise<number[]> {
  const { keys, values } = await kv.read(2, 0, kv.length!);
  expect([...keys]).toEqual([...values]);
  return Array.from({ length: kv.length! }, (_, position) => keys[position * 8 + 7]!);
}

describe("GpuTables", () => {
  it("seats those that come together, and leaves a single one alone", async () => {
    const { tables, open } = setUp();
    const [a, b, c] = [await open(), await open(), await open()];
    expect(await tables.gather([a])).toBeUndefined();
    const table = await tables.gather([a, b]);
    expect(table!.seats).toEqual([a, b]);
    expect([a, b, c].map(({ buffers }) => buffers.places)).toEqual([2, 2, 1]);
    // At a small table also by itself.
    expect(await tables.gather([a])).toBe(table);
    expect(await tables.gather([c])).toBeUndefined();
    const larger = await tables.gather([b, c]);
    expect(new Set(larger!.seats)).toEqual(new Set([a, b, c]));
  });

  it("takes up to as many places as buffers may have", async () => {
    const { tables, open } = setUp(7);
    const all = await Promise.all(Array.from({ length: 9 }, () => open()));
    const table = await tables.gather(all);
    expect(table!.taken).toBe(6);
    const waiting = all.filter(({ buffers }) => buffers.places === 1);
    expect(waiting.length).toBe(3);
    // Who has no row makes room for who has one.
    const next = await tables.gather(waiting);
    expect(waiting.every((kv) => next!.seats.includes(kv))).toBe(true);
    expect(next!.taken).toBe(6);
  });

  it("does not write behind a full cache that has no row", async () => {
    const { tables, open } = setUp();
    const [full, b, c] = [await open(room), await open(), await open()];
    append(full, 1, room - 1);
    await tables.gather([full, b]);
    append(full, 1);
    const table = await tables.gather([b, c]);
    expect(table!.seats).not.toContain(full);
    expect(await valuesOf(full)).toEqual(Array(room).fill(1));
  });

  it("goes on as it is where the GPU has no room, until something is freed", async () => {
    const { device, tables, open } = setUp();
    const sessions = await Promise.all(Array.from({ length: 4 }, () => open()));
    const [a, b, c, d] = sessions as [GpuKv, GpuKv, GpuKv, GpuKv];
    await tables.gather([a, b]);
    const each = device.used / 4;
    // Not for a larger table beside the one that is there.
    device.memory = device.used + each;
    const table = await tables.gather([a, b, c, d]);
    expect(table!.seats).toEqual([a, b]);
    expect(device.used).toBe(4 * each);
    const before = device.buffers.length;
    await tables.gather([a, b, c, d]);
    const tried = device.buffers.length - before;
    expect(tried).toBeLessThanOrEqual(4);
    tables.release(d);
    device.memory = Infinity;
    expect((await tables.gather([a, b, c]))!.taken).toBe(3);
    await expect(
      (async () => {
        device.memory = 0;
        await tables.stand(a);
      })(),
    ).rejects.toThrow(ShoalError);
  });

  it("keeps every session's KV through whatever happens, and leaks nothing", async () => {
    let state = 12345;
    const random = (below: number): number => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return Math.floor((state / 2 ** 32) * below);
    };
    const { device, tables, open } = setUp();
    const sessions = new Map<GpuKv, number[]>();
    let value = 0;
    for (let turn = 0; turn < 400; ++turn) {
      const all = [...sessions.keys()];
      const kv = all[random(all.length)];
      switch (random(kv === undefined ? 1 : 6)) {
        case 0:
          if (all.length < 18) sessions.set(await open(), []);
          break;
        case 1:
          tables.release(kv!);
          sessions.delete(kv!);
          break;
        case 2:
          await tables.stand(kv!);
          expect(kv!.buffers.places).toBe(1);
          break;
        case 3: {
          const length = random(kv!.length! + 1);
          kv!.truncate(length);
          sessions.get(kv!)!.length = length;
          break;
        }
        default: {
          const some = all.filter((each) => random(2) === 0 && each.length! < each.capacity);
          if (some.length === 0) break;
          const table = await tables.gather(some);
          for (const each of some) {
            const seated = each.buffers === table?.buffers;
            if (seated) expect(table!.seats[each.place]).toBe(each);
            if (!seated) await tables.stand(each);
            append(each, ++value);
            sessions.get(each)!.push(value);
          }
          expect(new Set(table?.seats.filter(Boolean)).size).toBe(table?.taken ?? 0);
        }
      }
      for (const [each, values] of sessions) expect(await valuesOf(each)).toEqual(values);
    }
    for (const kv of sessions.keys()) tables.release(kv);
    expect(device.used).toBe(0);
  });
});
