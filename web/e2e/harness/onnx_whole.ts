// An existing ONNX decoder as onnxruntime-node runs the whole file.

import * as ort from "onnxruntime-node";

// [positions, vocab] of the whole file, `pieces` tokens at a time, its caches fed back.
export async function runWhole(
  file: string,
  ids: number[],
  pieces: number[],
): Promise<Float32Array> {
  const session = await ort.InferenceSession.create(file);
  const int64 = (values: number[]): ort.Tensor =>
    new ort.Tensor("int64", BigInt64Array.from(values, BigInt), [1, values.length]);
  const caches: Record<string, ort.Tensor> = {};
  for (const input of session.inputMetadata) {
    if (!input.isTensor || !input.name.startsWith("past")) continue;
    const [, heads, , size] = input.shape as number[];
    const data = input.type === "float16" ? new Uint16Array(0) : new Float32Array(0);
    caches[input.name] = new ort.Tensor(input.type as "float32", data as Float32Array, [
      ...[1, heads!, 0, size!],
    ]);
  }
  const logits: number[] = [];
  let position = 0;
  for (const rows of pieces) {
    const places = Array.from({ length: rows }, (_, row) => position + row);
    const known: Record<string, ort.Tensor> = {
      input_ids: int64(ids.slice(position, position + rows)),
      attention_mask: int64(Array.from({ length: position + rows }, () => 1)),
      position_ids: int64(places),
      use_cache_branch: new ort.Tensor("bool", Uint8Array.of(position > 0 ? 1 : 0), [1]),
    };
    const feeds: Record<string, ort.Tensor> = { ...caches };
    for (const name of session.inputNames) if (known[name]) feeds[name] = known[name];
    const results = await session.run(feeds);
    logits.push(...(results["logits"]!.data as Float32Array));
    for (const name of Object.keys(caches)) {
      caches[name] = results[name.replace("past_key_values", "present")]!;
    }
    position += rows;
  }
  await session.release();
  return Float32Array.from(logits);
}

// The ids that the whole file continues with, up to the first of which another is nearly as likely.
export async function continueWhole(
  file: string,
  prompt: number[],
  count: number,
): Promise<number[]> {
  const ids = [...prompt];
  while (ids.length < prompt.length + count) {
    const logits = await runWhole(file, ids, [ids.length]);
    const last = [...logits.slice(-logits.length / ids.length)];
    const [best, second] = last.map((_, id) => id).sort((a, b) => last[b]! - last[a]!);
    if (last[best!]! - last[second!]! < 1e-3) break;
    ids.push(best!);
  }
  return ids.slice(prompt.length);
}
