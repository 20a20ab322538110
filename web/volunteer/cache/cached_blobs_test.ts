import { createHash } from "node:crypto";
import { beforeEach, describe, expect, it } from "vitest";

import { ShoalError, type StageFile } from "../../core/index.ts";
import { chunkBytes, chunkSize, type ChunkSource } from "../blobs.ts";
import { MemoryLeases, MemoryStore } from "../testing/memory_store.ts";
import { CachedBlobs } from "./cached_blobs.ts";

const never = new AbortController().signal;

const hex = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

// Bytes that differ from place to place and from seed to seed.
function pattern(size: number, seed: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(size);
  for (let i = 0; i < size; i += 1021) bytes[i] = (i >> 10) * 7 + seed;
  return bytes;
}

class Origin implements ChunkSource {
  readonly files = new Map<string, Uint8Array<ArrayBuffer>>();
  readonly fetched: [string, number][] = [];
  // From this fetch on, nothing comes.
  failAt = Infinity;

  add(bytes: Uint8Array<ArrayBuffer>): StageFile {
    const chunks: string[] = [];
    for (let from = 0; from < bytes.length; from += chunkBytes) {
      chunks.push(hex(bytes.subarray(from, from + chunkBytes)));
    }
    const location = hex(bytes);
    this.files.set(location, bytes);
    return { location, path: `/blobs/${location}`, bytes: bytes.length, chunks };
  }

  async fetchChunk(
    file: StageFile,
    index: number,
    _signal: AbortSignal,
    onBytes: (done: number, fetched: number) => void,
  ): Promise<Uint8Array<ArrayBuffer>> {
    if (this.fetched.length >= this.failAt) throw new ShoalError("unavailable", "gone");
    this.fetched.push([file.location, index]);
    const from = index * chunkBytes;
    const size = chunkSize(file, index);
    onBytes(size, size);
    return this.files.get(file.location)!.slice(from, from + size);
  }
}

let store: MemoryStore;
let leases: MemoryLeases;
let origin: Origin;
let problems: string[];

beforeEach(() => {
  store = new MemoryStore();
  leases = new MemoryLeases();
  origin = new Origin();
  problems = [];
});

// A visit: what an earlier one held in memory is gone.
function visit(bytesMax = Infinity): CachedBlobs {
  origin.fetched.length = 0;
  const onProblem = ({ code }: ShoalError): void => void problems.push(code);
  return new CachedBlobs({ store, origin, leases, bytesMax, onProblem });
}

async function fetchAll(blobs: CachedBlobs, file: StageFile) {
  const sums = { done: 0, fetched: 0 };
  const blob = await blobs.fetch(file, never, (done, fetched) => {
    sums.done += done;
    sums.fetched += fetched;
  });
  const bytes = new Uint8Array(await blob.arrayBuffer());
  expect(Buffer.compare(bytes, origin.files.get(file.location)!)).toBe(0);
  return sums;
}

describe("CachedBlobs", () => {
  it("fetches nothing on the second visit", async () => {
    const file = origin.add(pattern(2 * chunkBytes + 5000, 1));
    expect(await fetchAll(visit(), file)).toEqual({ done: file.bytes, fetched: file.bytes });
    expect(await fetchAll(visit(), file)).toEqual({ done: file.bytes, fetched: 0 });
    expect(origin.fetched).toEqual([]);
    expect(problems).toEqual([]);
  });

  it("goes on where an interrupted download ended", async () => {
    const file = origin.add(pattern(2 * chunkBytes + 5000, 1));
    origin.failAt = 2;
    await expect(visit().fetch(file, never, () => {})).rejects.toThrow("unavailable");
    origin.failAt = Infinity;
    await fetchAll(visit(), file);
    expect(origin.fetched).toEqual([[file.location, 2]]);
  });

  it.each([
    ["damaged", (bytes: Uint8Array<ArrayBuffer>) => bytes.fill(1, 10, 11)],
    ["cut short", (bytes: Uint8Array<ArrayBuffer>) => bytes.slice(0, 100)],
  ])("fetches a chunk again that is %s, alone", async (_what, change) => {
    const file = origin.add(pattern(2 * chunkBytes + 5000, 1));
    await fetchAll(visit(), file);
    const { chunks } = store.blobs.get(file.location)!;
    chunks.set(1, change(chunks.get(1)!));
    await fetchAll(visit(), file);
    expect(origin.fetched).toEqual([[file.location, 1]]);
    await fetchAll(visit(), file);
    expect(origin.fetched).toEqual([]);
  });

  it("makes room by dropping what was used least recently", async () => {
    const files = [1, 2, 3].map((seed) => origin.add(pattern(1000, seed)));
    const blobs = visit(2500);
    await fetchAll(blobs, files[0]!);
    await fetchAll(blobs, files[1]!);
    await fetchAll(blobs, files[0]!);
    blobs.retain(new Set());
    await Promise.resolve();
    await fetchAll(blobs, files[2]!);
    expect([...store.blobs.keys()].sort()).toEqual(
      [files[0]!, files[2]!].map(({ location }) => location).sort(),
    );
    expect(problems).toEqual([]);
  });

  it("drops nothing that is in use, and serves from memory instead", async () => {
    const files = [1, 2].map((seed) => origin.add(pattern(1000, seed)));
    const blobs = visit(1500);
    await fetchAll(blobs, files[0]!);
    await fetchAll(blobs, files[1]!);
    expect(store.blobs.get(files[0]!.location)!.chunks.size).toBe(1);
    expect(store.blobs.get(files[1]!.location)?.chunks.size ?? 0).toBe(0);
    expect(problems).toEqual(["resource_exhausted"]);
  });

  it("serves on when the disk is full, and tells once", async () => {
    const files = [1, 2].map((seed) => origin.add(pattern(1000, seed)));
    store.failure = new Error("QuotaExceededError");
    const blobs = visit();
    for (const file of files) await fetchAll(blobs, file);
    expect(problems).toEqual(["resource_exhausted"]);
  });
});
