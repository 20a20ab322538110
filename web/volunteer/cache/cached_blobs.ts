// Blobs that stay on this machine between visits, chunk by chunk: what is there and whole is not
// fetched again, what is damaged is. At the limit the blobs least recently used go, except those
// that a tab is using.

import { ShoalError, type StageFile } from "../../core/index.ts";
import {
  chunkSize,
  Scratch,
  sha256Hex,
  type BlobSource,
  type ChunkSource,
  type OnBytes,
} from "../blobs.ts";
import { byteReader, readFully } from "../byte_streams.ts";
import type { ChunkStore } from "./chunk_store.ts";
import type { Leases } from "./leases.ts";

export interface CachedBlobsOptions {
  store: ChunkStore;
  origin: ChunkSource;
  leases: Leases;
  // Of all blobs together.
  bytesMax: number;
  // The storage does not take any more: blobs are then held in memory.
  onProblem(error: ShoalError): void;
}

export class CachedBlobs implements BlobSource {
  readonly #options: CachedBlobsOptions;
  // Released by `retain`.
  readonly #held = new Map<string, Promise<() => void>>();
  // Bytes that room has been made for and that are not written yet.
  #reserved = 0;
  #isFull = false;

  constructor(options: CachedBlobsOptions) {
    this.#options = options;
  }

  async fetch(file: StageFile, signal: AbortSignal, onBytes: OnBytes): Promise<Blob> {
    const scratch = new Scratch();
    try {
      return await this.#fetch(file, signal, onBytes, scratch);
    } finally {
      scratch.free();
    }
  }

  async #fetch(
    file: StageFile,
    signal: AbortSignal,
    onBytes: OnBytes,
    scratch: Scratch,
  ): Promise<Blob> {
    const { store, leases, origin } = this.#options;
    const { location } = file;
    const lease = this.#held.get(location) ?? leases.hold(location);
    this.#held.set(location, lease);
    await lease;
    const parts: Blob[] = [];
    const missing: number[] = [];
    for (const index of file.chunks.keys()) {
      const cached = await this.#intact(file, index, scratch);
      if (cached === undefined) missing.push(index);
      else parts[index] = cached;
      if (cached !== undefined) onBytes(cached.size, 0);
    }
    const missingBytes = missing.reduce((sum, index) => sum + chunkSize(file, index), 0);
    let room = missingBytes > 0 && (await this.#makeRoom(missingBytes));
    try {
      for (const index of missing) {
        const bytes = await origin.fetchChunk(file, index, signal, onBytes, scratch);
        room = room && (await this.#write(location, index, bytes));
        // Read back, so that the bytes need not stay in memory.
        parts[index] = (room ? await store.read(location, index) : undefined) ?? new Blob([bytes]);
        scratch.give(bytes);
      }
    } finally {
      if (missingBytes > 0) this.#reserved -= missingBytes;
    }
    // A full disk has been told about where it mattered.
    await store.touch(location).catch(() => {});
    return new Blob(parts);
  }

  // Others than those in `locations` may be evicted from now on.
  retain(locations: ReadonlySet<string>): void {
    for (const [location, lease] of [...this.#held]) {
      if (locations.has(location)) continue;
      this.#held.delete(location);
      void lease.then((release) => release());
    }
  }

  // A chunk that is here and has its hash.
  async #intact(file: StageFile, index: number, scratch: Scratch): Promise<Blob | undefined> {
    const { store } = this.#options;
    const size = chunkSize(file, index);
    try {
      const blob = await store.read(file.location, index);
      if (blob === undefined || blob.size !== size) return undefined;
      const reader = byteReader(blob.stream());
      const bytes = await readFully(reader, scratch.take(size));
      const found = await sha256Hex(bytes);
      scratch.give(bytes);
      return found === file.chunks[index] ? blob : undefined;
    } catch {
      // What cannot be read is fetched.
      return undefined;
    }
  }

  // Reserves `bytes` in any case; whether they may be written.
  async #makeRoom(bytes: number): Promise<boolean> {
    const { store, leases, bytesMax } = this.#options;
    this.#reserved += bytes;
    return await this.#attempt(() =>
      leases.alone(async () => {
        const blobs = await store.list();
        let used = this.#reserved + blobs.reduce((sum, blob) => sum + blob.bytes, 0);
        for (const { location, bytes: size } of blobs.sort((a, b) => a.usedMs - b.usedMs)) {
          if (used <= bytesMax) break;
          if (await leases.ifFree(location, () => store.remove(location))) used -= size;
        }
        if (used <= bytesMax) return;
        throw new ShoalError(
          "resource_exhausted",
          `the ${bytesMax} bytes allowed on this machine's storage are in use`,
        );
      }),
    );
  }

  async #write(location: string, index: number, bytes: Uint8Array<ArrayBuffer>): Promise<boolean> {
    const written = await this.#attempt(() => this.#options.store.write(location, index, bytes));
    if (written) this.#isFull = false;
    return written;
  }

  // Whether it worked. Serving does not depend on the storage; the first failure is reported.
  async #attempt(action: () => Promise<void>): Promise<boolean> {
    try {
      await action();
      return true;
    } catch (thrown) {
      if (!this.#isFull) this.#options.onProblem(ShoalError.from(thrown, "resource_exhausted"));
      this.#isFull = true;
      return false;
    }
  }
}
