// A chunk store in memory, with leases that a test can take, and a disk that can be full or broken.

import type { CachedBlob, ChunkStore } from "../cache/chunk_store.ts";
import type { Leases } from "../cache/leases.ts";

interface Entry {
  chunks: Map<number, Uint8Array<ArrayBuffer>>;
  usedMs: number;
}

export class MemoryStore implements ChunkStore {
  readonly blobs = new Map<string, Entry>();
  // Thrown by every write while set.
  failure: Error | undefined;
  #now = 0;

  async read(location: string, index: number): Promise<Blob | undefined> {
    const bytes = this.blobs.get(location)?.chunks.get(index);
    return bytes && new Blob([bytes]);
  }

  async write(location: string, index: number, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    if (this.failure !== undefined) throw this.failure;
    this.#entry(location).chunks.set(index, bytes.slice());
  }

  async touch(location: string): Promise<void> {
    if (this.failure !== undefined) throw this.failure;
    this.#entry(location).usedMs = ++this.#now;
  }

  async remove(location: string): Promise<void> {
    this.blobs.delete(location);
  }

  async list(): Promise<CachedBlob[]> {
    return [...this.blobs].map(([location, { chunks, usedMs }]) => ({
      location,
      bytes: [...chunks.values()].reduce((sum, { length }) => sum + length, 0),
      usedMs,
    }));
  }

  #entry(location: string): Entry {
    const entry = this.blobs.get(location) ?? { chunks: new Map(), usedMs: 0 };
    this.blobs.set(location, entry);
    return entry;
  }
}

export class MemoryLeases implements Leases {
  readonly #holders = new Map<string, number>();

  async hold(location: string): Promise<() => void> {
    this.#holders.set(location, (this.#holders.get(location) ?? 0) + 1);
    return () => this.#holders.set(location, this.#holders.get(location)! - 1);
  }

  async ifFree(location: string, action: () => Promise<void>): Promise<boolean> {
    if ((this.#holders.get(location) ?? 0) > 0) return false;
    await action();
    return true;
  }

  async alone<T>(action: () => Promise<T>): Promise<T> {
    return await action();
  }
}
