// The WebAssembly core against the golden files of the native one.

import { beforeAll, describe, expect, test } from "vitest";
import { loadCore, startCore } from "./core.ts";
import type { Core } from "./core.ts";
import { ShoalError } from "./errors.ts";
import { checkedExports } from "./exports.ts";
import type { CoreExports } from "./exports.ts";
import type { Frame, FrameOf, Sampling } from "./frames.ts";
import { frameFromWire, fromHex, toHex } from "./json.ts";
import { goldenFrames, loadTestCore, readModule, readRepositoryFile } from "./testing.ts";

let core: Core;
beforeAll(async () => {
  core = await loadTestCore();
});

const step: FrameOf<"step"> = {
  kind: "step",
  to: 2,
  from: 1,
  body: {
    rows: [{ session: 2n ** 64n - 1n, epoch: 1, position: 0, flags: 0 }],
    type: "f32",
    width: 2,
    sampling: [],
    payload: new Uint8Array(Float32Array.of(1.5, -2).buffer),
  },
};

function codeOf(run: () => unknown): string {
  try {
    run();
  } catch (thrown) {
    expect(thrown).toBeInstanceOf(ShoalError);
    return (thrown as ShoalError).message;
  }
  return "nothing thrown";
}

describe("frames", () => {
  test.each(goldenFrames())("$name has the golden bytes", ({ hex, json }) => {
    const frame = core.decode(fromHex(hex));
    expect(toHex(core.encode(frame))).toBe(hex);
    const header = core.header(fromHex(hex));
    expect(header).toEqual({
      kind: frame.kind,
      to: frame.to,
      from: frame.from,
      body_bytes: hex.length / 2 - 16,
    });
    expect(frame.kind).toBe((json as Frame).kind);
  });

  test("a payload is a view into the frame, aligned to four bytes", () => {
    const bytes = core.encode(step);
    const frame = core.decode(bytes) as FrameOf<"step">;
    expect(frame).toEqual(step);
    const { payload } = frame.body;
    expect(payload.buffer).toBe(bytes.buffer);
    expect(payload.byteOffset % 4).toBe(0);
    expect([...new Float32Array(payload.buffer, payload.byteOffset, 2)]).toEqual([1.5, -2]);
  });

  test("a frame may lie anywhere in a larger buffer", () => {
    const bytes = core.encode(step);
    const padded = new Uint8Array(bytes.length + 7);
    padded.set(bytes, 3);
    expect(core.decode(padded.subarray(3, 3 + bytes.length))).toEqual(step);
  });

  test("bytes that are no frame are refused with a code and a sentence", () => {
    const bytes = core.encode(step);
    expect(codeOf(() => core.decode(new Uint8Array(0)))).toMatch(/^invalid_argument: a frame of 0/);
    expect(codeOf(() => core.decode(bytes.subarray(1)))).toMatch(/^invalid_argument: not a Shoal/);
    const header = codeOf(() => core.header(bytes.subarray(0, 20)));
    expect(header).toMatch(/^invalid_argument: the header/);
    const newer = bytes.slice();
    newer[2] = 9;
    expect(codeOf(() => core.decode(newer))).toBe(
      "unimplemented: wire version 9; this side speaks 1",
    );
    const flagged = bytes.slice();
    flagged[16 + 4 + 16] = 0x80;
    expect(codeOf(() => core.decode(flagged))).toContain("step.rows[0].flags: 128");
  });

  test("frames that do not fit together are refused", () => {
    const wrong = (body: Partial<FrameOf<"step">["body"]>) =>
      codeOf(() => core.encode({ ...step, body: { ...step.body, ...body } }));
    expect(wrong({ width: 3 })).toContain("step.payload: 8 bytes");
    expect(wrong({ rows: [] })).toContain("step.rows: empty");
    expect(wrong({ width: 1.5 })).toContain("step.width");
    expect(wrong({ payload: "no" as unknown as Uint8Array })).toContain("not a Uint8Array");
    expect(wrong({ more: 1 } as object)).toContain('step: there is no field "more"');
    const { width: _, ...rest } = step.body;
    expect(codeOf(() => core.encode({ ...step, body: rest } as unknown as Frame))).toContain(
      'step: no "width"',
    );
    const nan = { name: "x", value: Number.NaN };
    const profile = { executor: "", memory_bytes: 0, threads: 1, platform: "", cached: [] };
    expect(
      codeOf(() =>
        core.encode({ kind: "profile", to: 0, from: 0, body: { ...profile, measures: [nan] } }),
      ),
    ).toContain("profile.measures[0].value");
  });

  test("a payload over the frame limit is refused, and the core lives on", () => {
    const payload = new Uint8Array(64 << 20);
    const body = { ...step.body, width: payload.length / 4, payload };
    expect(codeOf(() => core.encode({ ...step, body }))).toMatch(/^resource_exhausted: step/);
    expect(core.decode(core.encode(step))).toEqual(step);
  });

  test("text is mended: lone surrogates and long reasons", () => {
    const reason = (text: string): string => {
      const bytes = core.encode({ kind: "bye", to: 0, from: 1, body: { reason: text } });
      const frame = core.decode(bytes);
      return (frame as FrameOf<"bye">).body.reason;
    };
    expect(reason('grün 🐟 "\\\n')).toBe('grün 🐟 "\\\n');
    expect(reason("a\ud800b")).toBe("a\ufffdb");
    expect(reason("x".repeat(5000))).toBe("x".repeat(4096));
    // Not in the middle of a character.
    expect(reason(`${"x".repeat(4094)}🐟`)).toBe("x".repeat(4094));
  });
});

describe("numbers", () => {
  test("every half-precision value widens exactly and comes back", () => {
    const halves = Uint16Array.from({ length: 65536 }, (_, i) => i);
    const floats = core.f16ToF32(halves);
    expect(floats[0x3c00]).toBe(1);
    expect(floats[0x0001]).toBe(2 ** -24);
    expect(floats[0x7bff]).toBe(65504);
    expect(floats[0xfc00]).toBe(Number.NEGATIVE_INFINITY);
    const back = core.f32ToF16(floats);
    for (let i = 0; i < 65536; ++i) {
      if (Number.isNaN(floats[i])) expect(back[i]! & 0x7c00).toBe(0x7c00);
      else if (back[i] !== halves[i]) expect.unreachable(`half ${i} came back as ${back[i]}`);
    }
  });

  test("rounding is to nearest even", () => {
    const values = Float32Array.of(2049, 2051, 65519, 65520, 2 ** -25, 1.5 * 2 ** -24);
    expect([...core.f16ToF32(core.f32ToF16(values))]).toEqual([
      2048,
      2052,
      65504,
      Number.POSITIVE_INFINITY,
      0,
      2 ** -23,
    ]);
  });

  test("views into larger buffers and empty arrays are taken as they are", () => {
    const buffer = Float32Array.of(9, 1, 2, 9);
    expect([...core.f32ToF16(buffer.subarray(1, 3))]).toEqual([0x3c00, 0x4000]);
    expect(core.f16ToF32(new Uint16Array(0)).length).toBe(0);
    expect(core.allFinite(new Float32Array(0))).toBe(true);
  });

  test("infinities and NaN are found wherever they are", () => {
    for (let at = 0; at < 37; ++at) {
      for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
        const values = new Float32Array(37).fill(3.4e38);
        expect(core.allFinite(values)).toBe(true);
        values[at] = bad;
        expect(core.allFinite(values)).toBe(false);
      }
    }
  });
});

describe("sampling", () => {
  interface Case {
    name: string;
    vocab: number;
    multiplier: number;
    positions: number;
    sampling: Record<string, unknown>;
    tokens: unknown[];
  }
  const cases = JSON.parse(readRepositoryFile("tests/golden/sampler/cases.json")) as Case[];

  // As src/wire/sampling_test.cc makes them.
  function makeLogits(vocab: number, multiplier: number): Float32Array {
    const high = (i: number): number => (Math.imul(i, multiplier) >>> 0) >>> 8;
    return Float32Array.from({ length: vocab }, (_, i) => high(i) / 2 ** 20 - 8);
  }

  // The JSON form's values, as a typed frame has them.
  function typedSampling(json: Record<string, unknown>): Sampling {
    const body = { rows: [], type: "f32", width: 1, sampling: [json], payload_bytes: 0 };
    const text = JSON.stringify({ kind: "step", to: 0, from: 0, body });
    return (frameFromWire(text, new Uint8Array(0)) as FrameOf<"step">).body.sampling[0]!;
  }

  test.each(cases)("$name: the native sampler's tokens, to the last bit", (one) => {
    const logits = makeLogits(one.vocab, one.multiplier);
    const sampling = typedSampling(one.sampling);
    const tokens = Array.from({ length: one.positions }, (_, i) =>
      core.sample(logits, sampling, i + 1),
    );
    expect(tokens).toEqual(one.tokens);
  });

  test("what the sampler refuses", () => {
    const sampling = typedSampling(cases[0]!.sampling);
    const sample = (changed: Partial<Sampling>, logits = [1, 2], position = 1) =>
      codeOf(() => core.sample(Float32Array.from(logits), { ...sampling, ...changed }, position));
    expect(sample({}, [1, Number.NaN])).toMatch(/^invalid_argument: logits/);
    expect(sample({}, [])).toMatch(/^invalid_argument: logits/);
    expect(sample({ top_p: 2 })).toMatch(/^invalid_argument: top_p/);
    expect(sample({ temperature: Number.NaN })).toContain("sampling.temperature");
    expect(sample({ seed: -1n })).toContain("sampling.seed");
    expect(sample({}, [1, 2], -1)).toContain("position");
  });

  test("position 0 is a position", () => {
    const sampling = typedSampling(cases[0]!.sampling);
    expect(core.sample(Float32Array.of(1, 3, 2), sampling, 0).token).toBe(1);
  });
});

describe("loading", () => {
  test("the module imports nothing", async () => {
    const module = await WebAssembly.compile(readModule());
    expect(WebAssembly.Module.imports(module)).toEqual([]);
    const loaded = await loadCore(module);
    expect(loaded.version).toBe(JSON.parse(readRepositoryFile("web/package.json")).version);
  });

  test("what is not the core is refused", async () => {
    await expect(loadCore(new Uint8Array([0, 1, 2]))).rejects.toMatchObject({
      code: "failed_precondition",
    });
    const empty = new Uint8Array([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]);
    await expect(loadCore(empty)).rejects.toMatchObject({
      code: "failed_precondition",
      detail: expect.stringContaining("not this core") as unknown,
    });
    await expect(loadCore(new Response("", { status: 404 }))).rejects.toMatchObject({
      code: "unavailable",
      detail: expect.stringContaining("404") as unknown,
    });
    await expect(loadCore("data:application/wasm;base64,AGFzbQ")).rejects.toMatchObject({
      code: "failed_precondition",
    });
  });

  test("a trap becomes an error with the broken invariant, and the core stays broken", async () => {
    const { instance } = await WebAssembly.instantiate(readModule(), {});
    const real = checkedExports(instance.exports);
    const text = "here.cc:1: CHECK failed: false";
    const exports: CoreExports = {
      ...real,
      shoal_header: () => {
        throw new WebAssembly.RuntimeError("unreachable");
      },
      shoal_abort_message: () => {
        const pointer = real.shoal_alloc(text.length + 1);
        new Uint8Array(real.memory.buffer, pointer).set(new TextEncoder().encode(`${text}\0`));
        return pointer;
      },
    };
    const broken = startCore(exports);
    const bytes = broken.encode(step);
    expect(codeOf(() => broken.header(bytes))).toBe(`internal: the core trapped: ${text}`);
    expect(codeOf(() => broken.decode(bytes))).toBe(`internal: the core trapped: ${text}`);
  });

  test("twenty thousand frames, good and bad, leak nothing", async () => {
    const { instance } = await WebAssembly.instantiate(readModule(), {});
    const exports = checkedExports(instance.exports);
    const fresh = startCore(exports);
    const bytes = fresh.encode(step);
    for (let i = 0; i < 2000; ++i) fresh.decode(bytes);
    const before = exports.memory.buffer.byteLength;
    for (let i = 0; i < 20_000; ++i) {
      fresh.decode(bytes);
      codeOf(() => fresh.decode(bytes.subarray(1)));
    }
    expect(exports.memory.buffer.byteLength).toBe(before);
  });
});
