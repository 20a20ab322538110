// Sessions that decode side by side: a row of each in one run, since a run costs hardly more for
// several rows than for one. ONNX Runtime takes them as a batch whose KV caches lie in the same
// buffers; so sessions that have come together once keep sitting at one table, those of one room
// each at theirs, and move into buffers of their own again for what they do by themselves.

import { ShoalError } from "../../core/index.ts";
import { GpuKv, type KvBuffers } from "./gpu_kv.ts";

// How many places a table may have; few numbers, so that it is seldom made anew.
const tableSizes = [2, 3, 4, 6, 8, 12, 16];
// A run computes a row for every place, also where nobody sits or has one. Up to so many places
// that is cheaper for a single row than moving away and back.
const smallTable = 4;

export class GpuTable {
  readonly buffers: KvBuffers;
  // By place.
  readonly seats: (GpuKv | undefined)[];

  constructor(buffers: KvBuffers) {
    this.buffers = buffers;
    this.seats = Array<undefined>(buffers.places).fill(undefined);
  }

  get taken(): number {
    return this.seats.filter((kv) => kv !== undefined).length;
  }

  // Does nothing where no place is free.
  sit(kv: GpuKv): void {
    const place = this.seats.indexOf(undefined);
    if (place < 0) return;
    const { buffers: before } = kv;
    kv.moveTo(this.buffers, place);
    if (before.places === 1) before.destroy();
    this.seats[place] = kv;
  }
}

export class GpuTables {
  readonly #create: (places: number, room: number) => Promise<KvBuffers>;
  readonly #placesMax: (room: number) => number;
  readonly #tables = new Map<number, GpuTable>();
  // Sizes from which on the GPU had no room, until something is freed.
  #refused = Infinity;

  // `create` rejects with "resource_exhausted" where the GPU has no room; `placesMax` says how many
  // places buffers may have at all.
  constructor(
    create: (places: number, room: number) => Promise<KvBuffers>,
    placesMax: (room: number) => number,
  ) {
    this.#create = create;
    this.#placesMax = placesMax;
  }

  // A table for those of `kvs`, which have the same room and each a row to compute, that sit at it
  // then. Undefined where a run for each is better.
  async gather(kvs: readonly GpuKv[]): Promise<GpuTable | undefined> {
    const { room } = kvs[0]!.buffers;
    const table = this.#tables.get(room);
    if (kvs.length === 1) {
      return table?.seats.includes(kvs[0]) && table.seats.length <= smallTable ? table : undefined;
    }
    const most = Math.min(this.#placesMax(room), this.#refused - 1);
    const largest = tableSizes.findLast((size) => size <= most);
    if (largest === undefined) return table;
    // Who sits already needs no move.
    const wanted = kvs
      .toSorted((a, b) => Number(b.buffers.places > 1) - Number(a.buffers.places > 1))
      .slice(0, largest);
    try {
      await this.#makeRoom(room, wanted, largest);
    } catch (thrown) {
      if (ShoalError.from(thrown).code !== "resource_exhausted") throw thrown;
    }
    const gathered = this.#tables.get(room);
    for (const kv of wanted) {
      if (kv.buffers.places === 1) gathered?.sit(kv);
    }
    return gathered;
  }

  async #makeRoom(room: number, wanted: GpuKv[], largest: number): Promise<void> {
    const absent = (this.#tables.get(room)?.seats ?? []).filter(
      (kv) => kv !== undefined && !wanted.includes(kv),
    );
    let together = wanted.length + absent.length;
    for (const kv of absent) {
      // A row that is computed for nobody is written behind the last one.
      if (together <= largest && kv!.length !== room) continue;
      await this.stand(kv!);
      --together;
    }
    const before = this.#tables.get(room);
    const places = before?.seats.length ?? 0;
    const size = tableSizes.find((each) => each >= together)!;
    if (places < together || places >= 2 * size) await this.#make(room, size, before);
  }

  // A table of `size` places with all who sat at `before`.
  async #make(room: number, size: number, before: GpuTable | undefined): Promise<void> {
    let buffers: KvBuffers;
    try {
      buffers = await this.#create(size, room);
    } catch (thrown) {
      this.#refused = size;
      throw thrown;
    }
    const table = new GpuTable(buffers);
    for (const kv of before?.seats ?? []) {
      if (kv !== undefined) table.sit(kv);
    }
    before?.buffers.destroy();
    this.#tables.set(room, table);
  }

  // Gives it buffers of its own, if it has none. "resource_exhausted" where the GPU has no room.
  async stand(kv: GpuKv): Promise<void> {
    const { room, places } = kv.buffers;
    if (places === 1) return;
    const buffers = await this.#create(1, room);
    const { place } = kv;
    kv.moveTo(buffers, 0);
    this.#leave(room, place);
  }

  // Frees what it has; it must not be used afterwards.
  release(kv: GpuKv): void {
    this.#refused = Infinity;
    const { buffers, place } = kv;
    if (buffers.places === 1) {
      buffers.destroy();
    } else {
      this.#leave(buffers.room, place);
    }
  }

  #leave(room: number, place: number): void {
    const table = this.#tables.get(room)!;
    table.seats[place] = undefined;
    if (table.taken > 0) return;
    table.buffers.destroy();
    this.#tables.delete(room);
  }
}
