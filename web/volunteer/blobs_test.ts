import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";

import { chunkBytes, HttpBlobs, MemoryBlobs } from "./blobs.ts";

const never = new AbortController().signal;

function hex(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

// Bytes that differ from place to place.
function pattern(size: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(size);
  for (let i = 0; i < size; ++i) bytes[i] = (i * 7 + (i >> 8)) & 255;
  return bytes;
}

function stageFile(bytes: Uint8Array, path = "/blobs/x") {
  const chunks: string[] = [];
  for (let from = 0; from < bytes.length; from += chunkBytes) {
    chunks.push(hex(bytes.subarray(from, from + chunkBytes)));
  }
  return { location: hex(bytes), path, bytes: bytes.length, chunks };
}

type Answer = (from: number, to: number, request: number) => Response;

// A server of `bytes` that `answer` may spoil; counts requests and waits.
function source(bytes: Uint8Array<ArrayBuffer>, answer?: Answer) {
  const log = { urls: [] as string[], caches: [] as (string | undefined)[], waits: [] as number[] };
  const fetcher = async (url: string | URL | Request, init?: RequestInit): Promise<Response> => {
    init?.signal?.throwIfAborted();
    log.urls.push(String(url));
    log.caches.push(init?.cache);
    const range = new Headers(init?.headers).get("Range")!;
    const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(range)!;
    const [from, to] = [Number(first), Number(last) + 1];
    if (answer !== undefined) return answer(from, to, log.urls.length);
    return new Response(bytes.slice(from, to), { status: 206 });
  };
  const sleep = async (ms: number): Promise<void> => void log.waits.push(ms);
  return { log, blobs: new HttpBlobs({ origin: "http://host:1", fetch: fetcher, sleep }) };
}

async function bytesOf(blob: Blob): Promise<Uint8Array> {
  return new Uint8Array(await blob.arrayBuffer());
}

// Sums of what a fetch reported.
function counter() {
  const sums = { done: 0, fetched: 0 };
  const onBytes = (done: number, fetched: number): void => {
    sums.done += done;
    sums.fetched += fetched;
  };
  return { sums, onBytes };
}

describe("HttpBlobs", () => {
  it("fetches a file in verified chunks", async () => {
    const bytes = pattern(chunkBytes + 1000);
    const { blobs, log } = source(bytes);
    const { sums, onBytes } = counter();
    const blob = await blobs.fetch(stageFile(bytes), never, onBytes);
    expect(Buffer.compare(await bytesOf(blob), bytes)).toBe(0);
    expect(log.urls).toEqual(["http://host:1/blobs/x", "http://host:1/blobs/x"]);
    expect(sums).toEqual({ done: bytes.length, fetched: bytes.length });
  });

  it("fetches a damaged chunk once more, past the caches", async () => {
    const bytes = pattern(500);
    const { blobs, log } = source(bytes, (from, to, request) => {
      const sent = bytes.slice(from, to);
      if (request === 1) sent[7]! ^= 1;
      return new Response(sent, { status: 206 });
    });
    const { sums, onBytes } = counter();
    await blobs.fetch(stageFile(bytes), never, onBytes);
    expect(log.caches).toEqual(["default", "reload"]);
    expect(sums).toEqual({ done: 500, fetched: 1000 });
  });

  it("gives up a chunk that is damaged twice", async () => {
    const bytes = pattern(500);
    const { blobs, log } = source(bytes, () => new Response(pattern(500).fill(1), { status: 206 }));
    const { sums, onBytes } = counter();
    await expect(blobs.fetch(stageFile(bytes), never, onBytes)).rejects.toThrow(
      /^data_loss: bytes \[0, 500\) of .* have SHA-256/,
    );
    expect(log.urls.length).toBe(2);
    expect(sums.done).toBe(0);
  });

  it("tries again, with pauses, when the network fails", async () => {
    const bytes = pattern(500);
    const { blobs, log } = source(bytes, (from, to, request) => {
      if (request === 1) return new Response(null, { status: 503 });
      if (request === 2) return new Response(bytes.slice(from, to - 100), { status: 206 });
      return new Response(bytes.slice(from, to), { status: 206 });
    });
    const { sums, onBytes } = counter();
    await blobs.fetch(stageFile(bytes), never, onBytes);
    expect(log.waits).toEqual([500, 1000]);
    expect(sums).toEqual({ done: 500, fetched: 900 });
  });

  it("stops trying in the end, and at once where trying is useless", async () => {
    const bytes = pattern(50);
    const down = source(bytes, () => new Response(null, { status: 500 }));
    const file = stageFile(bytes);
    await expect(down.blobs.fetch(file, never, () => {})).rejects.toThrow("unavailable");
    expect(down.log.urls.length).toBe(5);
    const gone = source(bytes, () => new Response(null, { status: 404 }));
    await expect(gone.blobs.fetch(file, never, () => {})).rejects.toThrow("not_found");
    expect(gone.log.urls.length).toBe(1);
  });

  it("takes no more than it asked for", async () => {
    const bytes = pattern(50);
    const { blobs } = source(bytes, () => new Response(pattern(51), { status: 206 }));
    await expect(blobs.fetch(stageFile(bytes), never, () => {})).rejects.toThrow("data_loss");
  });

  it("does not leave the coordinator", async () => {
    const bytes = pattern(50);
    const { blobs, log } = source(bytes);
    const file = stageFile(bytes, "/\\elsewhere/x");
    await expect(blobs.fetch(file, never, () => {})).rejects.toThrow("invalid_argument");
    expect(log.urls).toEqual([]);
  });

  it("ends with the signal", async () => {
    const bytes = pattern(50);
    const abort = new AbortController();
    const { blobs } = source(bytes, () => {
      abort.abort();
      return new Response(null, { status: 503 });
    });
    const fetched = blobs.fetch(stageFile(bytes), abort.signal, () => {});
    await expect(fetched).rejects.toThrow("cancelled");
  });
});

describe("MemoryBlobs", () => {
  it("fetches once what it keeps", async () => {
    const bytes = pattern(50);
    const { blobs: origin, log } = source(bytes);
    const memory = new MemoryBlobs(origin);
    const file = stageFile(bytes);
    await memory.fetch(file, never, () => {});
    const { sums, onBytes } = counter();
    expect(await bytesOf(await memory.fetch(file, never, onBytes))).toEqual(bytes);
    expect(log.urls.length).toBe(1);
    expect(sums).toEqual({ done: 50, fetched: 0 });
    expect(memory.locations).toEqual([file.location]);
    memory.retain(new Set());
    expect(memory.locations).toEqual([]);
    await memory.fetch(file, never, () => {});
    expect(log.urls.length).toBe(2);
  });
});
