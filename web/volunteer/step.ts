// One step frame: its rows are checked and grouped by session, run, and turned into frames for the
// next stages. A session that cannot go on gets an error frame; the others go on.

import {
  rowReplay,
  rowWantToken,
  ShoalError,
  type Assign,
  type Core,
  type Sampling,
  type Step,
} from "../core/index.ts";
import type { GroupResult, RunRequest, RunResult } from "./executor.ts";
import { sampleLargest } from "./largest.ts";
import type { Outbox } from "./outbox.ts";
import type { Session, SessionTable } from "./sessions.ts";

export interface StepExecutor {
  // Whether `largestNeeded` of a request spares something.
  readonly picksLargest: boolean;
  // `isWanted`: whether anybody still waits for the outcome.
  run(request: RunRequest, isWanted: () => boolean): Promise<RunResult>;
  rollback(kv: number, length: number): Promise<void>;
}

// What a step is run with.
export interface StepContext {
  core: Core;
  executor: StepExecutor;
  sessions: SessionTable;
  outbox: Outbox;
  assign: Assign;
  hasHead: boolean;
  // Milliseconds.
  now(): number;
}

export interface ArrivedStep {
  step: Step;
  bytes: number;
  // When it came, and how long decoding it took, in milliseconds.
  arrivedMs: number;
  decodeMs: number;
}

// What a step cost, for counters.
export interface StepDone {
  rows: number;
  tokens: number;
  computeUs: number;
}

interface Group {
  session: Session;
  epoch: number;
  // Indices into the frame's rows.
  rows: number[];
  wanted: { row: number; sampling: Sampling }[];
}

type Outcome = Extract<GroupResult, { ok: true }>;

// A group and what the executor made of it.
interface Computed extends Group {
  outcome: Outcome;
}

export async function runStep(context: StepContext, arrived: ArrivedStep): Promise<StepDone> {
  const startMs = context.now();
  const { step } = arrived;
  const groups = admit(context, step);
  if (groups.length === 0) return { rows: 0, tokens: 0, computeUs: 0 };
  const request = buildRequest(context, step, groups);
  const runMs = context.now();
  const result = await context.executor.run(request, () =>
    groups.some(
      ({ session, epoch }) => !session.gone && !session.cancelled && session.epoch === epoch,
    ),
  );
  const ranMs = context.now();
  const done: Computed[] = [];
  for (const [index, group] of groups.entries()) {
    const outcome = await settle(context, group, result.groups[index]!);
    if (outcome !== undefined) done.push({ ...group, outcome });
  }
  const sent = context.hasHead ? sendTokens(context, step, done) : sendHidden(context, step, done);
  const first = step.rows[groups[0]!.rows[0]!]!;
  const rows = groups.reduce((sum, group) => sum + group.rows.length, 0);
  const encodeMs = arrived.decodeMs + (runMs - startMs) + (context.now() - ranMs);
  context.outbox.send("report", {
    session: first.session,
    epoch: first.epoch,
    position: first.position,
    rows,
    first: context.assign.first,
    last: context.assign.last,
    queue_us: microseconds(startMs - arrived.arrivedMs),
    compute_us: result.computeUs,
    encode_us: microseconds(encodeMs),
    bytes_in: arrived.bytes,
    bytes_out: sent.bytes,
  });
  return { rows, tokens: sent.tokens, computeUs: result.computeUs };
}

function microseconds(ms: number): number {
  return Math.max(0, Math.round(ms * 1000));
}

// The groups that can be run; the others have been answered.
function admit(context: StepContext, step: Step): Group[] {
  const shapeError = checkShape(context, step);
  const samplings = new Map(step.sampling.map((sampling) => [sampling.row, sampling]));
  const rowsOf = new Map<bigint, number[]>();
  for (const [index, { session }] of step.rows.entries()) {
    const rows = rowsOf.get(session);
    if (rows === undefined) rowsOf.set(session, [index]);
    else rows.push(index);
  }
  const admitted: Group[] = [];
  for (const [id, rows] of rowsOf) {
    const { epoch } = step.rows[rows[0]!]!;
    try {
      if (shapeError !== undefined) throw shapeError;
      const session = context.sessions.require(id, epoch);
      if (session.cancelled) continue;
      const group = { session, epoch, rows, wanted: [] };
      checkRows(context, step, group, samplings);
      admitted.push(group);
    } catch (thrown) {
      context.outbox.sendError(ShoalError.from(thrown), { session: id, epoch });
    }
  }
  return admitted;
}

// What is wrong with the frame as a whole, for every session in it.
function checkShape({ assign }: StepContext, step: Step): ShoalError | undefined {
  if (step.rows.length > assign.max_rows) {
    return new ShoalError(
      "invalid_argument",
      `a step of ${step.rows.length} rows; at most ${assign.max_rows} were agreed`,
    );
  }
  const wantsTokens = assign.first === 0;
  const width = wantsTokens ? 1 : assign.hidden;
  if ((step.type === "tokens") !== wantsTokens || step.width !== width) {
    return new ShoalError(
      "invalid_argument",
      `a payload of ${step.type} x ${step.width}; blocks [${assign.first}, ${assign.last}) take ` +
        (wantsTokens ? "tokens x 1" : `hidden states x ${width}`),
    );
  }
  return undefined;
}

// Positions must continue the KV cache, and each row that wants a token needs its sampling.
function checkRows(
  { assign, hasHead }: StepContext,
  step: Step,
  group: Group,
  samplings: ReadonlyMap<number, Sampling>,
): void {
  const { session } = group;
  const end = session.length + group.rows.length;
  if (end > session.capacity) {
    throw new ShoalError(
      "out_of_range",
      `position ${end - 1} of a session opened for ${session.capacity} positions`,
    );
  }
  for (const [offset, index] of group.rows.entries()) {
    const row = step.rows[index]!;
    const expected = session.length + offset;
    if (row.epoch !== group.epoch) {
      throw new ShoalError("invalid_argument", `rows of epochs ${group.epoch} and ${row.epoch}`);
    }
    if (row.position !== expected) {
      throw new ShoalError(
        "failed_precondition",
        `a row at position ${row.position}; position ${expected} is next in the KV of blocks ` +
          `[${assign.first}, ${assign.last})`,
      );
    }
    if ((row.flags & rowWantToken) === 0 || !hasHead) continue;
    const sampling = samplings.get(index);
    if (sampling === undefined) {
      throw new ShoalError(
        "invalid_argument",
        `the row at position ${row.position} wants a token and has no sampling`,
      );
    }
    group.wanted.push({ row: offset, sampling });
  }
}

// Copies the admitted rows' inputs, group after group. A group whose input is refused is answered
// and taken out of `groups`.
function buildRequest(context: StepContext, step: Step, groups: Group[]): RunRequest {
  const { assign } = context;
  const width = assign.first === 0 ? 1 : assign.hidden;
  const source = readPayload(context.core, step);
  const kept: Group[] = [];
  for (const group of groups.splice(0)) {
    const error = checkInput(context, step, group, source, width);
    if (error === undefined) kept.push(group);
    else context.outbox.sendError(error, { session: group.session.id, epoch: group.epoch });
  }
  groups.push(...kept);
  const rows = kept.reduce((sum, group) => sum + group.rows.length, 0);
  const input =
    source instanceof Int32Array ? new Int32Array(rows) : new Float32Array(rows * width);
  let row = 0;
  for (const group of kept) {
    for (const index of group.rows) {
      input.set(source.subarray(index * width, (index + 1) * width), row * width);
      ++row;
    }
  }
  return {
    groups: kept.map(({ session, rows: indices, wanted }) => ({
      kv: session.kv,
      position: session.length,
      rows: indices.length,
      logitRows: wanted.map((want) => want.row),
      largestNeeded: largestNeeded(context, wanted),
    })),
    input,
  };
}

// For all of a group's tokens; 0 when one of them needs all logits, or nothing is spared.
function largestNeeded({ core, executor }: StepContext, wanted: Group["wanted"]): number {
  if (!executor.picksLargest) return 0;
  const needed = wanted.map(({ sampling }) => core.largestNeeded(sampling));
  return needed.includes(0) ? 0 : Math.max(0, ...needed);
}

function readPayload(core: Core, step: Step): Int32Array | Float32Array {
  // A copy, so that the offset suits every element type.
  const bytes = step.payload.slice();
  if (step.type === "tokens") return new Int32Array(bytes.buffer);
  return step.type === "f32"
    ? new Float32Array(bytes.buffer)
    : core.f16ToF32(new Uint16Array(bytes.buffer));
}

function checkInput(
  { core, assign }: StepContext,
  step: Step,
  group: Group,
  source: Int32Array | Float32Array,
  width: number,
): ShoalError | undefined {
  for (const index of group.rows) {
    const { position } = step.rows[index]!;
    if (source instanceof Int32Array) {
      const token = source[index]!;
      if (token >= 0 && token < assign.vocab) continue;
      return new ShoalError(
        "invalid_argument",
        `token ${token} at position ${position}; the vocabulary has ${assign.vocab}`,
      );
    }
    if (core.allFinite(source.subarray(index * width, (index + 1) * width))) continue;
    return new ShoalError(
      "invalid_argument",
      `the hidden state at position ${position} of session ${group.session.id} has values that ` +
        "are not finite",
    );
  }
  return undefined;
}

// Brings the session's bookkeeping in line with its KV cache. The outcome, unless the group failed
// or is no longer wanted.
async function settle(
  context: StepContext,
  group: Group,
  result: GroupResult,
): Promise<Outcome | undefined> {
  const { session, epoch } = group;
  if (session.gone) return undefined;
  const before = session.length;
  if (result.ok) session.length += group.rows.length;
  if (session.epoch !== epoch || session.cancelled) return undefined;
  let error: ShoalError | undefined;
  if (!result.ok) {
    error = new ShoalError(result.code, result.detail);
  } else if (!isAllFinite(context.core, result)) {
    await context.executor.rollback(session.kv, before);
    session.length = before;
    error = new ShoalError(
      "internal",
      `blocks [${context.assign.first}, ${context.assign.last}) computed values that are not ` +
        `finite at positions [${before}, ${before + group.rows.length})`,
    );
  }
  if (error === undefined) return result.ok ? result : undefined;
  context.outbox.sendError(error, { session: session.id, epoch });
  return undefined;
}

function isAllFinite(core: Core, { output, largest }: Outcome): boolean {
  return (
    core.allFinite(output) && (largest ?? []).every(({ logSumExp }) => Number.isFinite(logSumExp))
  );
}

interface Sent {
  bytes: number;
  tokens: number;
}

function sendTokens(context: StepContext, step: Step, groups: Computed[]): Sent {
  const { core, outbox, assign } = context;
  const sent: Sent = { bytes: 0, tokens: 0 };
  const { vocab } = assign;
  for (const { session, epoch, rows, wanted, outcome } of groups) {
    const { output, largest } = outcome;
    for (const [index, { row, sampling }] of wanted.entries()) {
      const position = step.rows[rows[row]!]!.position + 1;
      try {
        const sampled =
          largest === undefined
            ? core.sample(output.subarray(index * vocab, (index + 1) * vocab), sampling, position)
            : sampleLargest(core, largest[index]!, sampling, position);
        sent.bytes += outbox.send("token", { session: session.id, epoch, position, ...sampled });
        ++sent.tokens;
      } catch (thrown) {
        outbox.sendError(ShoalError.from(thrown), { session: session.id, epoch });
      }
    }
  }
  return sent;
}

// One step frame for every (next node, hop type); rows keep the order in which they came. Of rows
// that are run again for their KV nothing is sent.
function sendHidden(context: StepContext, step: Step, groups: Computed[]): Sent {
  const batches = new Map<string, { next: number; hop: "f32" | "f16"; groups: Computed[] }>();
  for (const group of groups) {
    const { next, hop } = group.session;
    const key = `${next} ${hop}`;
    const batch = batches.get(key) ?? { next, hop, groups: [] };
    batch.groups.push(group);
    batches.set(key, batch);
  }
  const sent: Sent = { bytes: 0, tokens: 0 };
  for (const { next, hop, groups: members } of batches.values()) {
    sent.bytes += sendBatch(context, step, members, next, hop);
  }
  return sent;
}

function sendBatch(
  { core, outbox, assign }: StepContext,
  step: Step,
  groups: Computed[],
  next: number,
  hop: "f32" | "f16",
): number {
  const width = assign.hidden;
  const places = groups
    .flatMap(({ rows, outcome: { output } }) =>
      rows.map((index, offset) => ({ index, offset, output })),
    )
    .filter(({ index }) => (step.rows[index]!.flags & rowReplay) === 0)
    .sort((a, b) => a.index - b.index);
  if (places.length === 0) return 0;
  const hidden = new Float32Array(places.length * width);
  const rowOf = new Map<number, number>();
  for (const [row, { index, offset, output }] of places.entries()) {
    hidden.set(output.subarray(offset * width, (offset + 1) * width), row * width);
    rowOf.set(index, row);
  }
  const values = hop === "f16" ? core.f32ToF16(hidden) : hidden;
  return outbox.send(
    "step",
    {
      rows: places.map(({ index }) => step.rows[index]!),
      type: hop,
      width,
      // Rows of other batches are not in this frame, which moves the others up.
      sampling: step.sampling.flatMap((sampling) => {
        const row = rowOf.get(sampling.row);
        return row === undefined ? [] : [{ ...sampling, row }];
      }),
      payload: new Uint8Array(values.buffer, values.byteOffset, values.byteLength),
    },
    next,
  );
}
