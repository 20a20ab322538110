import { readFileSync } from "node:fs";
import * as ort from "onnxruntime-node";
import { describe, expect, it } from "vitest";

import { cutGraph, oneNode } from "./cut_graph.ts";
import { inEntry, inGraph, inModel, inTensor, nameOf } from "./onnx_file.ts";
import { fieldsOf } from "./protobuf.ts";

const golden = (name: string): Uint8Array<ArrayBuffer> =>
  new Uint8Array(
    readFileSync(new URL(`../../../tests/golden/engine/f32/${name}`, import.meta.url)),
  );
const floats = (bytes: Uint8Array<ArrayBuffer>): Float32Array<ArrayBuffer> =>
  new Float32Array(bytes.buffer);
const kv = ["key", "value"];

describe("cutGraph", () => {
  it("cuts a layer out of two, and both in turn give what the whole gives", async () => {
    const [model, weights] = [golden("model.onnx"), golden("weights.bin")];
    let hidden = floats(golden("input.f32"));
    const rows = hidden.length / 64;
    for (const block of [1, 2]) {
      const presents = kv.map((part) => `present.${block}.${part}`);
      const piece = cutGraph(model, [`hidden.${block}`], [`hidden.${block + 1}`, ...presents])!;
      expect(piece.taken.slice(1)).toEqual(presents);
      const session = await ort.InferenceSession.create(piece.model);
      const feeds: Record<string, ort.Tensor> = {
        [piece.given[0]!]: new ort.Tensor("float32", hidden, [1, rows, 64]),
        seqlens_k: new ort.Tensor("int32", Int32Array.of(rows - 1), [1]),
        total_sequence_length: new ort.Tensor("int32", Int32Array.of(rows), []),
      };
      for (const part of kv) {
        const none = new ort.Tensor("float32", new Float32Array(0), [1, 2, 0, 16]);
        feeds[`past.${block}.${part}`] = none;
      }
      for (const { name, type, dims, bytes } of piece.constants) {
        expect(type).toBe("float32");
        expect(bytes).toBe(4 * dims.reduce((product, dim) => product * dim, 1));
        const data = floats(externalBytes(model, weights, name, bytes));
        feeds[name] = new ort.Tensor(type, data, dims);
      }
      const inputs = session.inputNames.map((name) => [name, feeds[name]!] as const);
      expect(new Set(session.inputNames)).toEqual(new Set(Object.keys(feeds)));
      const results = await session.run(Object.fromEntries(inputs));
      hidden = results[piece.taken[0]!]!.data as Float32Array<ArrayBuffer>;
    }
    const expected = floats(golden("expected.f32"));
    expect(hidden.length).toBe(expected.length);
    for (const [i, value] of expected.entries()) expect(hidden[i]).toBeCloseTo(value, 4);
  });

  it("says when nothing computes what is wanted", () => {
    expect(cutGraph(golden("model.onnx"), ["hidden.1"], ["hidden.9"])).toBeUndefined();
  });
});

describe("oneNode", () => {
  it("is a model", async () => {
    const { graph } = oneNode();
    const session = await ort.InferenceSession.create(new Uint8Array(await graph.arrayBuffer()));
    const x = new ort.Tensor("float32", Float32Array.of(-2, 3), [2]);
    expect((await session.run({ x }))["y"]!.data).toEqual(Float32Array.of(2, 3));
  });
});

// The bytes of an initialiser in the file of weights.
function externalBytes(
  model: Uint8Array,
  weights: Uint8Array<ArrayBuffer>,
  name: string,
  bytes: number,
): Uint8Array<ArrayBuffer> {
  const graph = [...fieldsOf(model)].find(({ number }) => number === inModel.graph)!;
  for (const { number, bytes: tensor } of fieldsOf(graph.bytes)) {
    if (number !== inGraph.initializer || nameOf(tensor, inTensor.name) !== name) continue;
    const entries = [...fieldsOf(tensor)].filter((part) => part.number === inTensor.external);
    const offset = entries.find((entry) => nameOf(entry.bytes, inEntry.key) === "offset")!;
    const at = Number(nameOf(offset.bytes, inEntry.value));
    return weights.slice(at, at + bytes);
  }
  throw new Error(`no initialiser ${name}`);
}
