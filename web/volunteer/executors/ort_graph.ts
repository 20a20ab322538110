// The graph contract as ONNX Runtime's JavaScript sees it: which inputs a run needs, which outputs
// it gives (docs/pack-format.md).

import type { InferenceSession, Tensor, TypedTensor } from "onnxruntime-common";

import { ShoalError } from "../../core/index.ts";
import { inputsOf, outputsOf, widthOf, type RowGroup, type Stage } from "../executor.ts";

export type Feeds = Record<string, Tensor>;

// What one run computes: as many rows of each of its entries, which are different sessions.
export interface RowBatch {
  // Of each entry's first row.
  positions: number[];
  rows: number;
  // Indices into the rows of all entries; not empty.
  logitRows: number[];
}

// A group as a run of its own.
export function batchOf({ position, rows, logitRows }: RowGroup): RowBatch {
  return { positions: [position], rows, logitRows: logitRows.length === 0 ? [0] : logitRows };
}

// The graph must take and give the values of the graph contract for this stage, and no others.
export function checkGraph(stage: Stage, session: InferenceSession, hasHead: boolean): void {
  const known = new Set(inputsOf(stage).map(({ name }) => name));
  const given = new Set(outputsOf(stage, hasHead).map(({ name }) => name));
  for (const { block } of stage.kv) {
    for (const part of ["key", "value"]) {
      known.add(`past.${block}.${part}`);
      given.add(`present.${block}.${part}`);
    }
  }
  const required = new Set(known);
  if (stage.kv.length > 0) known.add("seqlens_k").add("total_sequence_length");
  // Of models with learned positions.
  if (stage.first === 0) known.add("positions");
  if (hasHead) known.add("logit_rows");
  const inputs = new Set(session.inputNames);
  const outputs = new Set(session.outputNames);
  const unknown = [...inputs].filter((name) => !known.has(name));
  const missing = [...required].filter((name) => !inputs.has(name));
  const lacking = [...given].filter((name) => !outputs.has(name));
  if (unknown.length + missing.length + lacking.length === 0) return;
  throw new ShoalError(
    "invalid_argument",
    `the graph of blocks [${stage.first}, ${stage.last}) does not fit its assignment: ` +
      `unknown inputs [${unknown}], missing inputs [${missing}], missing outputs [${lacking}]`,
  );
}

// Of the KV caches, as the graph states it.
export function kvType(session: InferenceSession): "float32" | "float16" {
  const cached = session.inputMetadata.find(({ name }) => name.startsWith("past."));
  if (cached === undefined || !cached.isTensor) return "float32";
  const { type } = cached;
  if (type === "float32" || type === "float16") return type;
  throw new ShoalError("invalid_argument", `the graph's KV caches are ${type}`);
}

// All rows of output, the values of each side by side.
export function takeOutput(
  results: InferenceSession.ReturnType,
  stage: Stage,
  hasHead: boolean,
  { positions, rows, logitRows }: RowBatch,
): Float32Array<ArrayBuffer> {
  const count = hasHead ? logitRows.length : positions.length * rows;
  const values = outputsOf(stage, hasHead);
  const parts = values.map(({ name, width }) =>
    takeFloats(results, name, hasHead ? [count, width] : [positions.length, rows, width]),
  );
  if (parts.length === 1) return parts[0]!;
  const total = widthOf(values);
  const all = new Float32Array(count * total);
  let at = 0;
  for (const [index, { width }] of values.entries()) {
    const part = parts[index]!;
    for (let row = 0; row < count; ++row) {
      all.set(part.subarray(row * width, (row + 1) * width), row * total + at);
    }
    at += width;
  }
  return all;
}

// The reverse: each value's rows by themselves.
function spreadInput(stage: Stage, rows: number, input: Float32Array<ArrayBuffer>) {
  const values = inputsOf(stage);
  const total = widthOf(values);
  let at = 0;
  return values.map(({ name, width }) => {
    const from = at;
    at += width;
    if (values.length === 1) return { name, width, data: input };
    const data = new Float32Array(rows * width);
    for (let row = 0; row < rows; ++row) {
      data.set(input.subarray(row * total + from, row * total + from + width), row * width);
    }
    return { name, width, data };
  });
}

// Every input but the KV caches, whether the graph takes it or not.
export function rowFeeds(
  TensorType: typeof Tensor,
  stage: Stage,
  { positions, rows, logitRows }: RowBatch,
  input: Int32Array<ArrayBuffer> | Float32Array<ArrayBuffer>,
): Feeds {
  const int32 = (values: number[], dims: number[]): Tensor =>
    new TensorType("int32", Int32Array.from(values), dims);
  const entries = positions.length;
  const ofRows = positions.flatMap((first) =>
    Array.from({ length: rows }, (_, row) => first + row),
  );
  const lasts = positions.map((first) => first + rows - 1);
  const feeds: Feeds = {
    positions: int32(ofRows, [entries, rows]),
    seqlens_k: int32(lasts, [entries]),
    total_sequence_length: int32([Math.max(...lasts) + 1], []),
    logit_rows: int32(logitRows, [logitRows.length]),
  };
  if (input instanceof Int32Array) {
    feeds["tokens"] = new TensorType("int32", input, [entries, rows]);
    return feeds;
  }
  for (const { name, width, data } of spreadInput(stage, entries * rows, input)) {
    feeds[name] = new TensorType("float32", data, [entries, rows, width]);
  }
  return feeds;
}

// Those that the graph takes.
export function pickFeeds(session: InferenceSession, feeds: Feeds): Feeds {
  return Object.fromEntries(session.inputNames.map((name) => [name, feeds[name]!]));
}

// A result that lies in memory, of the shape expected.
export function takeFloats(
  results: InferenceSession.ReturnType,
  name: string,
  dims: number[],
): Float32Array<ArrayBuffer> {
  const tensor = results[name];
  checkFloats(tensor, name, dims);
  return tensor.data as Float32Array<ArrayBuffer>;
}

// "internal" unless a result is float32 [dims].
export function checkFloats(
  tensor: Tensor | undefined,
  name: string,
  dims: number[],
): asserts tensor is TypedTensor<"float32"> {
  const fits =
    tensor !== undefined &&
    tensor.type === "float32" &&
    tensor.dims.length === dims.length &&
    tensor.dims.every((size, axis) => size === dims[axis]);
  if (fits) return;
  throw new ShoalError(
    "internal",
    `${name} came out as ${tensor?.type} [${tensor?.dims}], expected float32 [${dims}]`,
  );
}

// What a KV cache refuses to take.
export function checkRoom(group: RowGroup, length: number | undefined, capacity: number): void {
  const { position, rows } = group;
  if ((length ?? position) === position && position + rows <= capacity) return;
  throw new ShoalError(
    "out_of_range",
    `${rows} rows from position ${position}: the KV cache holds ${length} of ${capacity}`,
  );
}
