import { expect, test } from "vitest";
import { frameFromWire, frameToWire, fromHex, toHex } from "./json.ts";
import { goldenFrames } from "./testing.ts";

// Puts the payload where the golden file has it.
function withPayload(json: string, payload: Uint8Array): unknown {
  const frame = JSON.parse(json) as { body: Record<string, unknown> };
  if (!("payload_bytes" in frame.body)) return frame;
  expect(frame.body["payload_bytes"]).toBe(payload.length);
  delete frame.body["payload_bytes"];
  frame.body["payload"] = toHex(payload);
  return frame;
}

test.each(goldenFrames())("$name becomes a typed frame and comes back", ({ json }) => {
  const { body, ...header } = structuredClone(json) as { body: Record<string, unknown> };
  const payload = fromHex(String(body["payload"] ?? ""));
  if ("payload" in body) {
    delete body["payload"];
    body["payload_bytes"] = payload.length;
  }
  const frame = frameFromWire(JSON.stringify({ ...header, body }), payload);
  const wire = frameToWire(frame);
  expect(withPayload(wire.json, wire.payload)).toEqual(json);
});

test("counts that a number cannot hold are refused", () => {
  const ready = (bytes: number) =>
    frameToWire({
      kind: "ready",
      to: 0,
      from: 1,
      body: { generation: 1, done: false, bytes_done: bytes, bytes_total: 1, bytes_fetched: 0 },
    });
  for (const bytes of [-1, 0.5, Number.NaN, 2 ** 53]) {
    expect(() => ready(bytes)).toThrow("bytes_done");
  }
  const text =
    '{"kind":"ready","to":0,"from":1,"body":{"generation":1,"done":false,' +
    '"bytes_done":"9007199254740992","bytes_total":"1","bytes_fetched":"0"}}';
  expect(() => frameFromWire(text, new Uint8Array(0))).toThrow("out_of_range: bytes_done");
});
