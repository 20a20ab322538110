import { describe, expect, it } from "vitest";

import { concat, field, fieldsOf, numberField, text } from "./protobuf.ts";
import { widen, WideBlob } from "./wide_blob.ts";
import { widenConstants } from "./wide_constants.ts";

// By IEEE 754's definition.
function float16(code: number): number {
  const sign = code >> 15 === 1 ? -1 : 1;
  const [exponent, fraction] = [(code >> 10) & 31, code & 1023];
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return sign * (1024 + fraction) * 2 ** (exponent - 25);
}

describe("widen", () => {
  it("gives every float16 value", () => {
    const codes = Uint16Array.from({ length: 65536 }, (_, code) => code);
    const wide = widen(codes);
    for (const code of codes) expect(Object.is(wide[code], float16(code))).toBe(true);
  });
});

describe("WideBlob", () => {
  const codes = Uint16Array.from({ length: 5000 }, (_, i) => (i * 37) & 0x7bff);
  const wide = new Float32Array(codes.length).map((_, i) => float16(codes[i]!));

  // Whose streams give so many bytes at a time.
  class Trickle extends Blob {
    override slice(from?: number, to?: number): Blob {
      return new Trickle([super.slice(from, to)]);
    }
    override stream(): ReadableStream<Uint8Array<ArrayBuffer>> {
      const bytes = super.arrayBuffer();
      let at = 0;
      return new ReadableStream({
        pull: async (controller) => {
          const part = new Uint8Array((await bytes).slice(at, (at += 333)));
          if (part.length > 0) controller.enqueue(part);
          else controller.close();
        },
      });
    }
  }

  async function read(blob: Blob, atOnce: number): Promise<Uint8Array> {
    const reader = blob.stream().getReader({ mode: "byob" });
    const parts: Uint8Array[] = [];
    for (let buffer = new ArrayBuffer(atOnce); ; ) {
      const { done, value } = await reader.read(new Uint8Array(buffer));
      if (value !== undefined) {
        parts.push(value.slice());
        buffer = value.buffer;
      }
      if (done) return concat(parts);
    }
  }

  it.each([
    ["at once", Blob, 1 << 20],
    ["from a trickle that cuts values", Trickle, 1000],
  ])("gives what lies twice as far, %s", async (_what, Source, atOnce) => {
    const blob = new WideBlob(new Source([codes]));
    expect(blob.size).toBe(4 * codes.length);
    const bytes = new Uint8Array(wide.buffer);
    expect(await read(blob, atOnce)).toEqual(bytes);
    expect(await read(blob.slice(400, 4000), atOnce)).toEqual(bytes.slice(400, 4000));
    expect(await read(blob.slice(400, 400), atOnce)).toEqual(new Uint8Array(0));
  });
});

const utf8 = new TextEncoder();
const string = (number: number, value: string): Uint8Array => field(number, utf8.encode(value));

// Of onnx.proto: an initialiser of a type at [offset, offset + length) of the file "f"; a node.
function initialiser(name: string, type: number, offset: number, length: number): Uint8Array {
  const entry = (key: string, value: string): Uint8Array =>
    field(13, concat([string(1, key), string(2, value)]));
  const external = [
    entry("location", "f"),
    entry("offset", `${offset}`),
    entry("length", `${length}`),
  ];
  const dims = numberField(1, 300);
  const body = [dims, numberField(2, type), string(8, name), ...external, numberField(14, 1)];
  return field(5, concat(body));
}
function node(op: string, inputs: string[], output: string, to?: number): Uint8Array {
  const cast = concat([string(1, "to"), numberField(3, to ?? 0)]);
  const attribute = to === undefined ? [] : [field(5, cast)];
  const names = [...inputs.map((name) => string(1, name)), string(2, output)];
  return field(1, concat([...names, string(4, op), ...attribute]));
}
const model = (...graph: Uint8Array[]): Uint8Array =>
  concat([numberField(1, 10), field(7, concat(graph)), field(8, numberField(2, 21))]);

describe("widenConstants", () => {
  it("replaces what is only cast", () => {
    const product = node("MatMul", ["x", "wide"], "y");
    const codes = initialiser("codes", 2, 0, 600);
    expect(
      widenConstants(
        model(
          node("Cast", ["scales"], "wide", 1),
          product,
          codes,
          initialiser("scales", 10, 600, 302),
        ),
      ),
    ).toEqual(model(product, codes, field(5, wideInitialiser())));
  });

  // "scales" of above as float32, twice as far in the file's wide form.
  function wideInitialiser(): Uint8Array {
    const whole = initialiser("wide", 1, 1200, 604);
    const body = [...fieldsOf(whole)][0]!.bytes;
    const parts = [...fieldsOf(body)].map((part) => {
      if (part.number !== 13 || !text(part.bytes).includes("location")) return part.whole;
      return field(13, concat([string(1, "location"), string(2, "f.f32")]));
    });
    return concat(parts);
  }

  it.each([
    ["is read by another node", [node("Cast", ["w"], "wide", 1), node("Neg", ["w"], "y")], 10],
    ["is cast twice", [node("Cast", ["w"], "wide", 1), node("Cast", ["w"], "y", 1)], 10],
    ["is cast to something else", [node("Cast", ["w"], "wide", 6)], 10],
    ["is float32 already", [node("Cast", ["w"], "wide", 1)], 1],
    ["is not cast", [node("Neg", ["w"], "wide")], 10],
  ])("leaves what %s", (_what, nodes, type) => {
    const before = model(...nodes, initialiser("w", type, 0, 600));
    expect(widenConstants(before)).toEqual(before);
  });

  it.each([
    ["nothing", []],
    ["no graph", [8, 1]],
    ["a field that is longer than the message", [0x3a, 100, 1]],
    ["a length without an end", [0x3a, ...new Array<number>(20).fill(0xff)]],
    ["a number that is cut off", [0x08, 0x80]],
    ["an unknown kind of field", [0x3b]],
  ])("refuses %s", (_what, bytes) => {
    expect(() => widenConstants(Uint8Array.from(bytes))).toThrow(
      expect.objectContaining({ code: "invalid_argument" }) as Error,
    );
  });
});
