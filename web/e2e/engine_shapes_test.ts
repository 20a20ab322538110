// Stages of random shapes and weights: what the engine makes of them against ONNX Runtime.

import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname } from "node:path";
import * as fc from "fast-check";
import * as ort from "onnxruntime-node";
import { describe, expect, it } from "vitest";

import { relativeError } from "./harness/npy.ts";
import { binary } from "./harness/paths.ts";

const bench = `${dirname(binary)}/src/volunteer/engine_bench`;
const layers = 2;
const runs = process.env["SHOAL_TESTS"] === "full" ? 60 : 8;

interface Shape {
  hidden: number;
  ffn: number;
  kvHeads: number;
  group: number;
  headSize: number;
  seed: number;
}

// Widths that are not whole tiles, nor whole blocks, nor whole vectors.
const shapes = fc.record({
  hidden: fc.integer({ min: 1, max: 60 }).map((n) => 4 * n),
  ffn: fc.integer({ min: 1, max: 300 }),
  kvHeads: fc.integer({ min: 1, max: 4 }),
  group: fc.integer({ min: 1, max: 3 }),
  // ONNX Runtime rotates heads of whole sixteens alone.
  headSize: fc.integer({ min: 1, max: 6 }).map((n) => 16 * n),
  seed: fc.integer({ min: 1, max: 1e6 }),
});

const floats = (path: string): Float32Array<ArrayBuffer> =>
  new Float32Array(new Uint8Array(readFileSync(path)).buffer);

// The engine's result for nine rows, and ONNX Runtime's.
async function both(format: string, shape: Shape, more: string[]) {
  const folder = mkdtempSync(`${tmpdir()}/shoal-shape-`);
  const { hidden, ffn, kvHeads, group, headSize, seed } = shape;
  try {
    const sizes = [hidden, ffn, kvHeads * group, kvHeads, headSize].join(",");
    execFileSync(bench, [
      ...["--format", format, "--shape", sizes, "--layers", String(layers)],
      ...["--seed", String(seed), "--write", folder, ...more],
    ]);
    const input = floats(`${folder}/input.f32`);
    const rows = input.length / hidden;
    const feeds: Record<string, ort.Tensor> = {
      "hidden.1": new ort.Tensor("float32", input, [1, rows, hidden]),
      seqlens_k: new ort.Tensor("int32", Int32Array.of(rows - 1), [1]),
      total_sequence_length: new ort.Tensor("int32", Int32Array.of(rows), []),
    };
    for (let block = 1; block <= layers; ++block) {
      for (const part of ["key", "value"]) {
        const dims = [1, kvHeads, 0, headSize];
        feeds[`past.${block}.${part}`] = new ort.Tensor("float32", new Float32Array(0), dims);
      }
    }
    const session = await ort.InferenceSession.create(`${folder}/model.onnx`);
    const results = await session.run(feeds);
    await session.release();
    const theirs = results[`hidden.${layers + 1}`]!.data as Float32Array;
    return { ours: floats(`${folder}/expected.f32`), theirs };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

// Rounded alike, in blocks of 32, activations differ only where a value lies between two codes: one
// step of 1/254 of its block's largest, in few of many terms.
const int8Tolerance = 5e-3;

describe("random shapes", () => {
  it.each([
    ["f32", "in float32", [], 1e-5],
    ["q4", "with float activations", ["--exact"], 1e-5],
    ["q8", "with float activations", ["--exact"], 1e-5],
    ["q4", "with int8 activations", [], int8Tolerance],
    ["q8", "with int8 activations", [], int8Tolerance],
  ] as const)("%s agrees with ONNX Runtime %s", async (format, _how, more, tolerance) => {
    let worst = 0;
    await fc.assert(
      fc.asyncProperty(shapes, async (shape) => {
        const { ours, theirs } = await both(format, shape, [...more]);
        const error = relativeError(ours, theirs);
        worst = Math.max(worst, error);
        expect(error).toBeLessThan(tolerance);
      }),
      { numRuns: runs, seed: 1 },
    );
    console.log(`${format} ${_how}: ${worst.toExponential(1)} at most`);
  });
});
