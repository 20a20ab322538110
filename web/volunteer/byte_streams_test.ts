import { describe, expect, it } from "vitest";

import { byteReader, byteStream, readFully } from "./byte_streams.ts";

const numbers = Array.from({ length: 100 }, (_, i) => i);

// 100 bytes, 7 at a time, as a stream of parts or of bytes.
function source(type?: "bytes"): ReadableStream<Uint8Array<ArrayBuffer>> {
  let at = 0;
  const pull = (controller: ReadableStreamDefaultController | ReadableByteStreamController) => {
    const part = Uint8Array.from(numbers.slice(at, (at += 7)));
    if (part.length > 0) return controller.enqueue(part);
    controller.close();
    if ("byobRequest" in controller) controller.byobRequest?.respond(0);
  };
  const stream = type ? new ReadableStream({ type, pull }) : new ReadableStream({ pull });
  return stream as ReadableStream<Uint8Array<ArrayBuffer>>;
}

describe.each([
  ["parts", () => source()],
  ["bytes", () => source("bytes")],
  ["bytes of parts", () => byteStream(byteReader(source()))],
  ["bytes of bytes", () => byteStream(byteReader(source("bytes")))],
])("of %s", (_what, open) => {
  it.each([1, 6, 7, 50, 99, 100])("fills %i bytes and goes on behind them", async (size) => {
    const reader = byteReader(open());
    const parts: number[] = [];
    // Between other bytes, which stay.
    let buffer = Uint8Array.from({ length: size + 4 }, () => 255).buffer;
    for (let has = size; has === size; ) {
      const bytes = await readFully(reader, new Uint8Array(buffer, 2, size), (count) =>
        expect(count).toBeGreaterThan(0),
      );
      has = bytes.length;
      parts.push(...bytes);
      buffer = bytes.buffer;
      const around = new Uint8Array(buffer);
      expect([around[0], around[1], around.at(-2), around.at(-1)]).toEqual([255, 255, 255, 255]);
    }
    expect(parts).toEqual(numbers);
  });

  it("is read by others, too", async () => {
    expect([...new Uint8Array(await new Response(open()).arrayBuffer())]).toEqual(numbers);
  });
});

describe("byteStream", () => {
  it("begins when it may, and fails and ends with what it is made of", async () => {
    const seen: unknown[] = [];
    const reader = {
      read: async () => Promise.reject(new Error("broken")),
      cancel: async (reason: unknown) => void seen.push(reason),
    };
    let may = (): void => {};
    const stream = byteStream(reader, () => new Promise((resolve) => (may = resolve)));
    const failing = expect(stream.getReader().read()).rejects.toThrow("broken");
    may();
    await failing;
    await byteStream(reader).cancel("enough");
    expect(seen).toEqual(["enough"]);
  });
});
