// What runs a stage: the boundary between the node worker, which knows sessions, epochs and frames,
// and an executor, which knows a graph, its weights and KV caches.
//
// An executor does one thing at a time: callers await each call before the next one. A KV cache is
// named by a number that the caller picks and never uses again after `release`.

import type { ErrorCode, KvSlot } from "../core/index.ts";
import type { LargestLogits } from "./largest.ts";

// The default first.
export const executorNames = ["shoal", "ort-webgpu", "ort-wasm"] as const;
export type ExecutorName = (typeof executorNames)[number];

// One of the values that a row of a graph's input or output is made of, side by side.
export interface RowValue {
  name: string;
  width: number;
}

// The shapes of a stage, blocks [first, last), as its assignment states them.
export interface Stage {
  first: number;
  last: number;
  // Width of a hidden state.
  hidden: number;
  // Width of the logits.
  vocab: number;
  // Of one session in a run, at most.
  maxRows: number;
  // Of a session, at most.
  positions: number;
  // Of every layer block in the stage.
  kv: KvSlot[];
  // Where the graph begins, or ends, within a layer whose experts are elsewhere; or is of experts.
  inputs?: RowValue[];
  outputs?: RowValue[];
}

// What a row of input is made of.
export function inputsOf(stage: Stage): RowValue[] {
  if (stage.inputs !== undefined) return stage.inputs;
  return stage.first === 0
    ? [{ name: "tokens", width: 1 }]
    : [{ name: `hidden.${stage.first}`, width: stage.hidden }];
}

// What a row of output is made of.
export function outputsOf(stage: Stage, hasHead: boolean): RowValue[] {
  if (stage.outputs !== undefined) return stage.outputs;
  return hasHead
    ? [{ name: "logits", width: stage.vocab }]
    : [{ name: `hidden.${stage.last}`, width: stage.hidden }];
}

export function takesTokens(stage: Stage): boolean {
  return inputsOf(stage)[0]!.name === "tokens";
}

export function widthOf(values: readonly RowValue[]): number {
  return values.reduce((sum, { width }) => sum + width, 0);
}

// The joined ONNX graph and its external data by `location`; hashes have been verified.
export interface StageFiles {
  graph: Blob;
  weights: ReadonlyMap<string, Blob>;
}

export interface LoadedStage {
  // Whether the graph ends in logits; otherwise it ends in hidden states.
  hasHead: boolean;
  // Whether `largestNeeded` spares something; not said: it does not.
  picksLargest?: boolean;
}

// Consecutive rows of one session: `rows` positions from `position` on, which must be where its KV
// cache ends. `logitRows` are indices into these rows, of those whose logits are wanted.
export interface RowGroup {
  kv: number;
  position: number;
  rows: number;
  logitRows: number[];
  // Above 0: where it spares something, each of these rows' largest logits will do, of which so
  // many must be larger than all that are left out.
  largestNeeded?: number;
}

// Input of all groups, one after the other: a token per row for the stage that begins with block
// 0, hidden states [rows, hidden] for the others; or the stage's `inputs`, side by side.
export interface RunRequest {
  groups: RowGroup[];
  input: Int32Array<ArrayBuffer> | Float32Array<ArrayBuffer>;
}

// One group's rows: hidden states [rows, hidden], or logits [logitRows.length, vocab] where the
// stage has the head; or the stage's `outputs`, side by side. With `largest`, one of each of
// `logitRows`, the output is empty. A group that failed has left its KV cache as it was.
export type GroupResult =
  | { ok: true; output: Float32Array<ArrayBuffer>; largest?: LargestLogits[] }
  | { ok: false; code: ErrorCode; detail: string };

export interface RunResult {
  // In the order of the request's groups.
  groups: GroupResult[];
  computeUs: number;
}

// One block's cache of positions [from, to): each [heads, to - from, head_size].
export interface KvPart {
  from: number;
  to: number;
  keys: Float32Array<ArrayBuffer>;
  values: Float32Array<ArrayBuffer>;
}

export interface Executor {
  // Replaces the stage that was there, and every KV cache with it. Has run once when it resolves.
  load(stage: Stage, files: StageFiles): Promise<LoadedStage>;
  // Frees the stage. `load` may follow.
  unload(): Promise<void>;
  // An empty KV cache for up to `capacity` positions.
  open(kv: number, capacity: number): Promise<void>;
  run(request: RunRequest): Promise<RunResult>;
  // Forgets positions from `length` on.
  rollback(kv: number, length: number): Promise<void>;
  release(kv: number): Promise<void>;
  exportKv(kv: number, block: number, from: number, to: number): Promise<KvPart>;
  // Overwrites positions [from, to) of one block and forgets later ones; from <= its length.
  importKv(kv: number, block: number, part: KvPart): Promise<void>;
  // The cache `to` has the first `positions` positions of `from` then, and nothing else.
  copyKv(from: number, to: number, positions: number): Promise<void>;
}
