// Streams of bytes that are read into buffers of the reader's, where the browser can: what comes in
// parts of its own is garbage, a whole file's worth of it, until somebody collects it.

type Bytes = Uint8Array<ArrayBuffer>;

export interface ByteReader {
  // Fills the beginning of `into`, whose buffer it takes, and gives what was filled, in the same
  // buffer or that buffer's heir; nothing is filled at the end only.
  read(into: Bytes): Promise<Bytes>;
  cancel(reason?: unknown): Promise<void>;
}

// What is being read. A stream that nothing but its own reader waits for would be collected in
// Chromium, and never end.
const underWay = new Set<unknown>();

export async function keptAlive<T>(owner: unknown, work: Promise<T>): Promise<T> {
  underWay.add(owner);
  try {
    return await work;
  } finally {
    underWay.delete(owner);
  }
}

export function byteReader(stream: ReadableStream<Bytes>): ByteReader {
  try {
    const reader = stream.getReader({ mode: "byob" });
    return {
      read: async (into) => (await keptAlive(reader, reader.read(into))).value!,
      cancel: (reason) => reader.cancel(reason),
    };
  } catch {
    return copyingReader(stream.getReader());
  }
}

// Of a stream that gives parts of its own.
function copyingReader(reader: ReadableStreamDefaultReader<Bytes>): ByteReader {
  let rest: Bytes = new Uint8Array(0);
  return {
    read: async (into) => {
      while (rest.length === 0) {
        const { done, value } = await keptAlive(reader, reader.read());
        if (done) return into.subarray(0, 0);
        rest = value;
      }
      const count = Math.min(rest.length, into.length);
      into.set(rest.subarray(0, count));
      rest = rest.subarray(count);
      return into.subarray(0, count);
    },
    cancel: (reason) => reader.cancel(reason),
  };
}

// Fills all of `into`, whose buffer it takes, or as much as there is. `onBytes` hears of each part.
export async function readFully(
  reader: ByteReader,
  into: Bytes,
  onBytes: (count: number) => void = () => {},
): Promise<Bytes> {
  const { byteOffset: begin, length: size } = into;
  let { buffer } = into;
  for (let at = 0; at < size; ) {
    const filled = await reader.read(new Uint8Array(buffer, begin + at, size - at));
    buffer = filled.buffer;
    if (filled.length === 0) return new Uint8Array(buffer, begin, at);
    at += filled.length;
    onBytes(filled.length);
  }
  return new Uint8Array(buffer, begin, size);
}

// What `reader` gives, as a stream again. `before` is awaited once, before anything is read.
export function byteStream(
  reader: ByteReader,
  before: () => Promise<void> = async () => {},
): ReadableStream<Bytes> {
  return new ReadableStream({
    type: "bytes",
    autoAllocateChunkSize: 1 << 16,
    start: before,
    pull: async (controller) => {
      const request = controller.byobRequest!;
      const { buffer, byteOffset, byteLength } = request.view!;
      const into = new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength);
      const filled = await reader.read(into);
      if (filled.length === 0) controller.close();
      request.respondWithNewView(filled);
    },
    cancel: (reason) => reader.cancel(reason),
  });
}
