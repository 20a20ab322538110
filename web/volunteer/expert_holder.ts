// The experts that this volunteer holds, at work: checks requests, runs them in their turn, answers
// and counts.

import { ShoalError, type Assign, type Core, type ExpertRows } from "../core/index.ts";
import { decodeFloats, encodeFloats } from "./expert_exchange.ts";
import type { Outbox } from "./outbox.ts";
import type { PartExecutors } from "./parts.ts";
import type { WorkQueue } from "./work_queue.ts";

const usageEveryMs = 1000;

export interface ExpertHolderParts {
  core: Core;
  executors: PartExecutors;
  queue: WorkQueue;
  outbox: Outbox;
  onServed(rows: number, computeUs: number): void;
}

interface Usage {
  generation: number;
  requests: number;
  computeUs: number;
  // By "block group".
  rows: Map<string, { block: number; group: number; rows_done: number }>;
}

// Throws what is wrong with a request for the experts of `assign`.
export function checkExpertRows(assign: Assign, rows: ExpertRows): void {
  const { block, generation, width } = rows;
  if (generation !== assign.generation) {
    throw new ShoalError(
      "failed_precondition",
      `rows for experts of assignment ${generation}; held is ${assign.generation}`,
    );
  }
  const part = assign.experts.find((one) => one.block === block);
  if (part === undefined) {
    throw new ShoalError("not_found", `no experts of block ${block} are held here`);
  }
  if (width !== assign.hidden || rows.rows > assign.max_rows) {
    throw new ShoalError(
      "invalid_argument",
      `${rows.rows} rows of ${width} values; hidden states have ${assign.hidden}, and a request ` +
        `at most ${assign.max_rows} rows`,
    );
  }
  for (const { expert } of rows.choices) {
    const held = part.groups.some(({ first, count }) => expert >= first && expert < first + count);
    if (!held) {
      throw new ShoalError("not_found", `expert ${expert} of block ${block} is not held here`);
    }
  }
}

export class ExpertHolder {
  readonly #parts: ExpertHolderParts;
  // Experts have no KV: a cache lasts as long as a request.
  #nextKv = 1;
  #usage: Usage = { generation: 0, requests: 0, computeUs: 0, rows: new Map() };
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(parts: ExpertHolderParts) {
    this.#parts = parts;
  }

  // `assign` is what is held now; undefined: nothing.
  onRows(assign: Assign | undefined, from: number, rows: ExpertRows, bytes: number): void {
    try {
      if (assign === undefined || assign.experts.length === 0) {
        throw new ShoalError("failed_precondition", "no experts are held here");
      }
      checkExpertRows(assign, rows);
      this.#parts.queue.push(bytes, () => this.#answer(assign, from, rows));
    } catch (thrown) {
      this.#refuse(from, rows.request, thrown);
    }
  }

  async #answer(assign: Assign, from: number, rows: ExpertRows): Promise<void> {
    const { core, outbox } = this.#parts;
    try {
      const { output, computeUs } = await this.#run(assign, rows);
      const { request, type, width } = rows;
      const payload = encodeFloats(core, output, type);
      outbox.send("expert-sums", { request, type, rows: rows.rows, width, payload }, from);
      this.#count(assign, rows, computeUs);
    } catch (thrown) {
      this.#refuse(from, rows.request, thrown);
    }
  }

  async #run(assign: Assign, { block, rows, width, type, choices, payload }: ExpertRows) {
    const { core, executors } = this.#parts;
    const index = assign.experts.findIndex((one) => one.block === block);
    const routed = decodeFloats(core, payload, type);
    if (!core.allFinite(routed)) {
      throw new ShoalError("invalid_argument", "rows have values that are not finite");
    }
    const rowWidth = width + assign.experts[index]!.experts;
    const input = new Float32Array(rows * rowWidth);
    for (let row = 0; row < rows; ++row) {
      input.set(routed.subarray(row * width, (row + 1) * width), row * rowWidth);
    }
    for (const { row, expert, weight } of choices) input[row * rowWidth + width + expert] = weight;
    const kv = this.#nextKv++;
    const executor = executors.part(index);
    await executor.open(kv, rows);
    try {
      const group = { kv, position: 0, rows, logitRows: [] };
      const ran = await executor.run({ groups: [group], input });
      const [result] = ran.groups;
      if (!result!.ok) throw new ShoalError(result!.code, result!.detail);
      return { output: result!.output, computeUs: ran.computeUs };
    } finally {
      await executor.release(kv).catch(() => undefined);
    }
  }

  #refuse(to: number, request: bigint, thrown: unknown): void {
    const { code, detail } = ShoalError.from(thrown);
    this.#parts.outbox.send("expert-refusal", { request, code, detail }, to);
  }

  #count(assign: Assign, { block, rows, choices }: ExpertRows, computeUs: number): void {
    this.#parts.onServed(rows, computeUs);
    const { generation } = assign;
    if (this.#usage.generation !== generation) {
      this.#usage = { generation, requests: 0, computeUs: 0, rows: new Map() };
    }
    ++this.#usage.requests;
    this.#usage.computeUs += computeUs;
    const { groups } = assign.experts.find((one) => one.block === block)!;
    const seen = new Set<string>();
    for (const { row, expert } of choices) {
      const { group } = groups.find(
        ({ first, count }) => expert >= first && expert < first + count,
      )!;
      if (seen.has(`${row} ${group}`)) continue;
      seen.add(`${row} ${group}`);
      const use = this.#usage.rows.get(`${block} ${group}`) ?? { block, group, rows_done: 0 };
      ++use.rows_done;
      this.#usage.rows.set(`${block} ${group}`, use);
    }
    this.#timer ??= setTimeout(() => this.#tellUsage(), usageEveryMs);
  }

  #tellUsage(): void {
    this.#timer = undefined;
    const { generation, requests, computeUs, rows } = this.#usage;
    const groups = [...rows.values()].sort((a, b) => a.block - b.block || a.group - b.group);
    this.#parts.outbox.send("expert-usage", {
      generation,
      requests,
      compute_us: computeUs,
      groups,
    });
    this.#usage = { generation, requests: 0, computeUs: 0, rows: new Map() };
  }
}
