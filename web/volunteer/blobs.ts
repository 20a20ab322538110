// Where a stage's files come from. A source gives verified bytes or fails; sources are stacked:
// memory in front of the browser's storage (cache/) in front of the network.

import { ShoalError, type StageFile } from "../core/index.ts";
import { byteReader, readFully } from "./byte_streams.ts";

export const chunkBytes = 16 * 1024 * 1024;

// Bytes that have become available since the last call; `fetched` of them crossed the network. A
// chunk that has to be fetched again takes its `done` back.
export type OnBytes = (done: number, fetched: number) => void;

export interface BlobSource {
  // The whole file, verified. Rejects with a ShoalError; `cancelled` when `signal` is aborted.
  fetch(file: StageFile, signal: AbortSignal, onBytes: OnBytes): Promise<Blob>;
  // Files whose location is not in `locations` are not in use any more.
  retain?(locations: ReadonlySet<string>): void;
}

export interface ChunkSource {
  // Chunk `index` of the file, verified, in the buffer of `scratch`. Rejects as a BlobSource does.
  fetchChunk(
    file: StageFile,
    index: number,
    signal: AbortSignal,
    onBytes: OnBytes,
    scratch: Scratch,
  ): Promise<Uint8Array<ArrayBuffer>>;
}

// A buffer for one chunk after the other: a new one for each would be as much garbage as the file
// is long.
export class Scratch {
  #buffer: ArrayBuffer | undefined;

  take(size: number): Uint8Array<ArrayBuffer> {
    const buffer = this.#buffer;
    this.#buffer = undefined;
    const fits = buffer !== undefined && buffer.byteLength >= size;
    return new Uint8Array(fits ? buffer : new ArrayBuffer(size), 0, size);
  }

  // What was taken is not needed any more.
  give(bytes: Uint8Array<ArrayBuffer>): void {
    this.#buffer = bytes.buffer;
  }

  // Frees the memory at once where the browser can.
  free(): void {
    this.#buffer?.transfer?.(0);
    this.#buffer = undefined;
  }
}

export function chunkSize(file: StageFile, index: number): number {
  return Math.min(chunkBytes, file.bytes - index * chunkBytes);
}

// Keeps what it has given out, until `retain` drops it.
export class MemoryBlobs implements BlobSource {
  readonly #origin: BlobSource;
  readonly #held = new Map<string, Blob>();

  constructor(origin: BlobSource) {
    this.#origin = origin;
  }

  async fetch(file: StageFile, signal: AbortSignal, onBytes: OnBytes): Promise<Blob> {
    const held = this.#held.get(file.location);
    if (held !== undefined && held.size === file.bytes) {
      onBytes(file.bytes, 0);
      return held;
    }
    const blob = await this.#origin.fetch(file, signal, onBytes);
    this.#held.set(file.location, blob);
    return blob;
  }

  // Drops every file whose location is not in `locations`.
  retain(locations: ReadonlySet<string>): void {
    for (const location of [...this.#held.keys()]) {
      if (!locations.has(location)) this.#held.delete(location);
    }
    this.#origin.retain?.(locations);
  }

  get locations(): string[] {
    return [...this.#held.keys()];
  }
}

export interface HttpOptions {
  // The coordinator's address; paths of files are resolved against it and may not leave it.
  origin: string;
  fetch: typeof fetch;
  // Waits between attempts; rejects when the signal is aborted.
  sleep(ms: number, signal: AbortSignal): Promise<void>;
}

// Attempts for a chunk that the network did not deliver, each after a longer wait.
const attemptsMax = 5;
const retryMs = 500;

// Fetches in 16 MiB chunks by Range, and checks each against its SHA-256.
export class HttpBlobs implements BlobSource, ChunkSource {
  readonly #options: HttpOptions;

  constructor(options: HttpOptions) {
    this.#options = options;
  }

  async fetch(file: StageFile, signal: AbortSignal, onBytes: OnBytes): Promise<Blob> {
    const chunks: Uint8Array<ArrayBuffer>[] = [];
    for (const index of file.chunks.keys()) {
      chunks.push(await this.fetchChunk(file, index, signal, onBytes, new Scratch()));
    }
    return new Blob(chunks);
  }

  async fetchChunk(
    file: StageFile,
    index: number,
    signal: AbortSignal,
    onBytes: OnBytes,
    scratch: Scratch,
  ): Promise<Uint8Array<ArrayBuffer>> {
    const url = this.#resolve(file.path);
    const from = index * chunkBytes;
    const range = { url, from, to: from + chunkSize(file, index), total: file.bytes };
    return await this.#verified(range, file.chunks[index]!, signal, onBytes, scratch);
  }

  #resolve(path: string): string {
    const base = new URL(this.#options.origin);
    const url = new URL(path, base);
    if (url.origin !== base.origin) {
      throw new ShoalError("invalid_argument", `file path ${path} leaves the coordinator`);
    }
    return url.href;
  }

  async #verified(
    range: ByteRange,
    expected: string,
    signal: AbortSignal,
    onBytes: OnBytes,
    scratch: Scratch,
  ): Promise<Uint8Array<ArrayBuffer>> {
    let found = "";
    for (const cache of ["default", "reload"] as const) {
      const bytes = await this.#delivered(range, cache, signal, onBytes, scratch);
      found = await sha256Hex(bytes);
      if (found === expected) return bytes;
      onBytes(-bytes.length, 0);
      scratch.give(bytes);
    }
    throw new ShoalError(
      "data_loss",
      `bytes [${range.from}, ${range.to}) of ${range.url} have SHA-256 ${found}, ` +
        `${expected} was promised`,
    );
  }

  async #delivered(
    range: ByteRange,
    cache: RequestCache,
    signal: AbortSignal,
    onBytes: OnBytes,
    scratch: Scratch,
  ): Promise<Uint8Array<ArrayBuffer>> {
    for (let attempt = 1; ; ++attempt) {
      let got = 0;
      const count: OnBytes = (done, fetched) => {
        got += done;
        onBytes(done, fetched);
      };
      try {
        return await fetchRange(this.#options.fetch, range, cache, signal, count, scratch);
      } catch (thrown) {
        onBytes(-got, 0);
        if (signal.aborted) throw cancelled();
        const error = ShoalError.from(thrown, "unavailable");
        if (error.code !== "unavailable" || attempt === attemptsMax) throw error;
        await this.#options.sleep(retryMs * 2 ** (attempt - 1), signal);
      }
    }
  }
}

interface ByteRange {
  url: string;
  from: number;
  to: number;
  total: number;
}

function cancelled(): ShoalError {
  return new ShoalError("cancelled", "a newer assignment replaced this one");
}

async function fetchRange(
  doFetch: typeof fetch,
  { url, from, to, total }: ByteRange,
  cache: RequestCache,
  signal: AbortSignal,
  onBytes: OnBytes,
  scratch: Scratch,
): Promise<Uint8Array<ArrayBuffer>> {
  const headers = { Range: `bytes=${from}-${to - 1}` };
  const response = await doFetch(url, { headers, cache, signal, credentials: "same-origin" });
  const whole = response.status === 200 && from === 0 && to === total;
  if (response.status !== 206 && !whole) {
    await response.body?.cancel();
    throw new ShoalError(
      statusCode(response.status),
      `${url} answered ${response.status} to a request for bytes [${from}, ${to})`,
    );
  }
  if (response.body === null) throw new ShoalError("unavailable", `${url} answered nothing`);
  return await readExactly(response.body, scratch.take(to - from), url, onBytes);
}

function statusCode(status: number): "not_found" | "unavailable" | "failed_precondition" {
  if (status === 404 || status === 410) return "not_found";
  return status >= 500 || status === 429 ? "unavailable" : "failed_precondition";
}

async function readExactly(
  body: ReadableStream<Uint8Array<ArrayBuffer>>,
  into: Uint8Array<ArrayBuffer>,
  url: string,
  onBytes: OnBytes,
): Promise<Uint8Array<ArrayBuffer>> {
  const reader = byteReader(body);
  const size = into.length;
  const bytes = await readFully(reader, into, (count) => onBytes(count, count));
  if (bytes.length < size) {
    throw new ShoalError("unavailable", `${url} ended after ${bytes.length} of ${size} bytes`);
  }
  if ((await reader.read(new Uint8Array(1))).length > 0) {
    await reader.cancel();
    throw new ShoalError("data_loss", `${url} sent more than the ${size} bytes asked for`);
  }
  return bytes;
}

// Chromium keeps a copy of what it digests until something is collected, and does not count it: a
// buffer as large, which is counted and never written to, sees to it that something is.
export async function sha256Hex(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  void new ArrayBuffer(bytes.length);
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
