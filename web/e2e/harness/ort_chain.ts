// Stages of a pack through onnxruntime-node, one after the other.

import * as ort from "onnxruntime-node";

import { OrtCpuExecutor } from "../../volunteer/executors/ort_cpu.ts";
import { blockCount, stage, type StageFolder } from "./shoal.ts";

// A stage with the session 1.
export async function load(described: StageFolder): Promise<OrtCpuExecutor> {
  const { folder, graph, first, last, hidden, vocab, positions, kv } = described;
  const executor = new OrtCpuExecutor({
    // Weights lie beside the graph.
    createSession: () => ort.InferenceSession.create(`${folder}/${graph}`),
    Tensor: ort.Tensor,
    now: () => performance.now(),
  });
  const files = { graph: new Blob(), weights: new Map() };
  await executor.load({ first, last, hidden, vocab, positions, kv, maxRows: positions }, files);
  await executor.open(1, positions);
  return executor;
}

// Every way of cutting `blocks` into at most three stages.
export function allCuts(blocks: number): number[][] {
  const cuts: number[][] = [[]];
  for (let a = 1; a < blocks; ++a) {
    cuts.push([a]);
    for (let b = a + 1; b < blocks; ++b) cuts.push([a, b]);
  }
  return cuts;
}

// Feeds `ids` in pieces of the given sizes through all stages; logits of every position. `context`:
// of the stages, if not the model's.
export async function runChain(
  folder: string,
  cuts: number[],
  ids: number[],
  pieces: number[],
  context?: number,
): Promise<Float32Array> {
  const ends = [...cuts, blockCount(folder)];
  const stages: OrtCpuExecutor[] = [];
  for (const [index, last] of ends.entries()) {
    const first = index === 0 ? 0 : ends[index - 1]!;
    stages.push(await load(await stage(folder, first, last, "f32", context)));
  }
  const logits: number[] = [];
  let position = 0;
  for (const rows of pieces) {
    let input: Int32Array<ArrayBuffer> | Float32Array<ArrayBuffer> = Int32Array.from(
      ids.slice(position, position + rows),
    );
    for (const executor of stages) {
      const logitRows = Array.from({ length: rows }, (_, row) => row);
      const { groups } = await executor.run({
        groups: [{ kv: 1, position, rows, logitRows }],
        input,
      });
      if (!groups[0]!.ok) throw new Error(groups[0]!.detail);
      input = groups[0]!.output;
    }
    logits.push(...input);
    position += rows;
  }
  for (const executor of stages) await executor.unload();
  return Float32Array.from(logits);
}
