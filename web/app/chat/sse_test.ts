import { describe, expect, it } from "vitest";

import { readEvents } from "./sse.ts";

async function eventsOf(pieces: Uint8Array[]): Promise<string[]> {
  const body = new ReadableStream<Uint8Array>({
    start: (controller) => {
      for (const piece of pieces) controller.enqueue(piece);
      controller.close();
    },
  });
  const events: string[] = [];
  for await (const event of readEvents(body)) events.push(event);
  return events;
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

describe("readEvents", () => {
  const text =
    ': hello\r\n\r\ndata: {"a":"\u00fc"}\r\n\r\n' +
    "event: x\ndata:one\ndata: two\n\ndata: z\r\rdata: cut";
  const expected = ['{"a":"\u00fc"}', "one\ntwo", "z"];

  it("reads all line ends, comments and several data lines", async () => {
    expect(await eventsOf([bytes(text)])).toEqual(expected);
  });

  it("reads the same however the bytes are cut", async () => {
    const all = bytes(text);
    for (let size = 1; size < 12; ++size) {
      const pieces: Uint8Array[] = [];
      for (let at = 0; at < all.length; at += size) pieces.push(all.slice(at, at + size));
      expect(await eventsOf(pieces)).toEqual(expected);
    }
  });

  it("refuses an endless line", async () => {
    await expect(eventsOf([bytes("data: " + "x".repeat(5 << 20))])).rejects.toThrow("endless");
  });
});
