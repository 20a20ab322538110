// Frames of wire v1 as typed objects. Names, order and meaning of the fields are those of
// src/wire/frames.h and docs/protocol.md.
//
// How the wire's types look here: u64 identifiers and seeds are bigint, u64 counts of bytes and
// microseconds are number (refused beyond Number.MAX_SAFE_INTEGER), SHA-256 is 64 lower-case hex
// digits, enumerations are names, byte strings are Uint8Array.

import type { ErrorCode } from "./errors.ts";

export type Sha256Hex = string;
export type HopType = "f32" | "f16";
export type PayloadType = "tokens" | "f32" | "f16";

// The coordinator's node number; volunteers are numbered from 1.
export const coordinatorNode = 0;

// --- Joining -------------------------------------------------------------------------------------

export interface Hello {
  version_min: number;
  version_max: number;
  node: number;
  agent: string;
  join_secret: string;
  resume_token: string;
}

export interface Measure {
  name: string;
  value: number;
}

export interface Profile {
  executor: string;
  memory_bytes: number;
  threads: number;
  platform: string;
  measures: Measure[];
  cached: Sha256Hex[];
}

// --- What a volunteer holds ----------------------------------------------------------------------

export interface StageFile {
  location: string;
  path: string;
  bytes: number;
  chunks: Sha256Hex[];
}

export interface KvSlot {
  block: number;
  heads: number;
  head_size: number;
}

export interface StagePart {
  block: number;
  experts: number;
  takes_routed: boolean;
  graph: StageFile;
}

export interface ExpertRange {
  group: number;
  first: number;
  count: number;
}

export interface ExpertPart {
  block: number;
  experts: number;
  groups: ExpertRange[];
  graph: StageFile;
}

export interface Assign {
  generation: number;
  first: number;
  last: number;
  hidden: number;
  vocab: number;
  positions: number;
  max_rows: number;
  graph: StageFile;
  weights: StageFile[];
  kv: KvSlot[];
  parts: StagePart[];
  experts: ExpertPart[];
}

export interface Ready {
  generation: number;
  done: boolean;
  bytes_done: number;
  bytes_total: number;
  bytes_fetched: number;
}

// --- Sessions ------------------------------------------------------------------------------------

export interface Open {
  session: bigint;
  epoch: number;
  generation: number;
  next: number;
  hop: HopType;
  capacity: number;
  keep: number;
}

export const rowWantToken = 1;
export const rowReplay = 2;

export interface Row {
  session: bigint;
  epoch: number;
  position: number;
  flags: number;
}

export interface TokenBias {
  token: number;
  bias: number;
}

export interface Sampling {
  row: number;
  seed: bigint;
  choice: number;
  temperature: number;
  top_k: number;
  top_p: number;
  min_p: number;
  repetition_penalty: number;
  frequency_penalty: number;
  presence_penalty: number;
  top_logprobs: number;
  history: number[];
  biases: TokenBias[];
  mask: Uint8Array;
}

export interface Step {
  rows: Row[];
  type: PayloadType;
  width: number;
  sampling: Sampling[];
  // rows * width elements of `type`, little-endian. In a decoded frame it is a view into the bytes
  // given to decode(), at an offset that is a multiple of 4 from their start.
  payload: Uint8Array;
}

export interface TokenProbability {
  token: number;
  logprob: number;
}

export interface Token {
  session: bigint;
  epoch: number;
  position: number;
  token: number;
  logprob: number;
  log_sum_exp: number;
  top: TokenProbability[];
}

export interface Cancel {
  session: bigint;
  epoch: number;
}

export interface Release {
  session: bigint;
}

export interface Rollback {
  session: bigint;
  epoch: number;
  position: number;
}

export interface KvExport {
  session: bigint;
  epoch: number;
  first: number;
  last: number;
  from: number;
  to: number;
  target: number;
}

export interface KvImport {
  session: bigint;
  epoch: number;
  block: number;
  from: number;
  to: number;
  type: HopType;
  payload: Uint8Array;
}

export interface KvCopy {
  session: bigint;
  epoch: number;
  source: bigint;
  positions: number;
}

export interface Replay {
  session: bigint;
  epoch: number;
  from: number;
  to: number;
  target: number;
}

// --- Experts -------------------------------------------------------------------------------------

export interface ExpertHolder {
  block: number;
  group: number;
  first: number;
  count: number;
  node: number;
  generation: number;
}

export interface ExpertTable {
  generation: number;
  hop: HopType;
  holders: ExpertHolder[];
}

export interface ExpertChoice {
  row: number;
  expert: number;
  weight: number;
}

export interface ExpertRows {
  request: bigint;
  generation: number;
  block: number;
  type: HopType;
  rows: number;
  width: number;
  choices: ExpertChoice[];
  payload: Uint8Array;
}

export interface ExpertSums {
  request: bigint;
  type: HopType;
  rows: number;
  width: number;
  payload: Uint8Array;
}

export interface ExpertRefusal {
  request: bigint;
  code: ErrorCode;
  detail: string;
}

export interface ExpertGroupUse {
  block: number;
  group: number;
  rows_done: number;
}

export interface ExpertUsage {
  generation: number;
  requests: number;
  compute_us: number;
  groups: ExpertGroupUse[];
}

// --- Connection ----------------------------------------------------------------------------------

export interface Leave {
  reason: string;
}

export interface Ping {
  nonce: bigint;
  reply: boolean;
}

export interface ErrorFrame {
  code: ErrorCode;
  session: bigint;
  epoch: number;
  generation: number;
  detail: string;
}

export interface Bye {
  reason: string;
}

export interface Report {
  session: bigint;
  epoch: number;
  position: number;
  rows: number;
  first: number;
  last: number;
  queue_us: number;
  compute_us: number;
  encode_us: number;
  bytes_in: number;
  bytes_out: number;
}

// --- All of them ---------------------------------------------------------------------------------

export interface Bodies {
  hello: Hello;
  profile: Profile;
  assign: Assign;
  ready: Ready;
  open: Open;
  step: Step;
  token: Token;
  cancel: Cancel;
  release: Release;
  rollback: Rollback;
  "kv-export": KvExport;
  "kv-import": KvImport;
  "kv-copy": KvCopy;
  replay: Replay;
  leave: Leave;
  ping: Ping;
  error: ErrorFrame;
  bye: Bye;
  report: Report;
  "expert-table": ExpertTable;
  "expert-rows": ExpertRows;
  "expert-sums": ExpertSums;
  "expert-refusal": ExpertRefusal;
  "expert-usage": ExpertUsage;
}

export type Kind = keyof Bodies;

// A discriminated union: `switch (frame.kind)` narrows `frame.body`.
export type Frame = {
  [K in Kind]: { kind: K; to: number; from: number; body: Bodies[K] };
}[Kind];

// The frame of one kind: FrameOf<"step">.
export type FrameOf<K extends Kind> = Extract<Frame, { kind: K }>;

export interface Header {
  kind: Kind;
  to: number;
  from: number;
  body_bytes: number;
}
