// The steps of a stage whose experts are elsewhere, each between its parts: what has been asked,
// who has answered, and what comes next. While a step waits, the work queue is free for others. A
// step whose experts do not answer in time fails, with its KV as it was before.

import {
  ShoalError,
  type Assign,
  type Core,
  type ExpertRefusal,
  type ExpertSums,
  type ExpertTable,
} from "../core/index.ts";
import type { GroupResult, RowGroup, RunRequest, RunResult } from "./executor.ts";
import { ExpertExchange } from "./expert_exchange.ts";
import type { Outbox } from "./outbox.ts";
import type { PartExecutors } from "./parts.ts";
import type { WorkQueue } from "./work_queue.ts";

// How long a step may wait for experts, all its layers together.
const patienceMs = 15_000;

export interface DividedParts {
  core: Core;
  executors: PartExecutors;
  queue: WorkQueue;
  outbox: Outbox;
}

interface Waiting {
  generation: number;
  exchange: ExpertExchange;
  isWanted(): boolean;
  done(): void;
  failed(error: ShoalError): void;
}

export class DividedSteps {
  readonly #parts: DividedParts;
  readonly #waiting = new Set<Waiting>();
  #table: ExpertTable = { generation: 0, hop: "f32", holders: [] };
  #nextRequest = 1n;

  constructor(parts: DividedParts) {
    this.#parts = parts;
  }

  // Runs all groups through all parts of the stage.
  async run(assign: Assign, request: RunRequest, isWanted: () => boolean): Promise<RunResult> {
    const results: GroupResult[] = [];
    // Which of the groups are left, and what the part under way is given.
    let left = request.groups.map((_, index) => index);
    let { groups, input } = request;
    let computeUs = 0;
    const untilMs = performance.now() + patienceMs;
    for (let part = 0; left.length > 0; ++part) {
      const ran = await this.#inQueue(() => this.#parts.executors.run(part, { groups, input }));
      computeUs += ran.computeUs;
      const alive: number[] = [];
      const outputs: Float32Array[] = [];
      for (const [index, result] of ran.groups.entries()) {
        if (!result.ok) await this.#rollback([groups[index]!]);
        if (!result.ok || part === assign.parts.length) {
          results[left[index]!] = result;
          continue;
        }
        alive.push(index);
        outputs.push(result.output);
      }
      groups = alive.map((index) => groups[index]!);
      left = alive.map((index) => left[index]!);
      if (left.length === 0) break;
      try {
        input = await this.#between(assign, part, joined(outputs), untilMs, isWanted);
      } catch (thrown) {
        const { code, detail } = ShoalError.from(thrown);
        await this.#rollback(groups);
        for (const index of left) results[index] = { ok: false, code, detail };
        break;
      }
    }
    return { groups: results, computeUs };
  }

  onTable(table: ExpertTable): void {
    this.#table = table;
    for (const waiting of this.#waiting) this.#ask(waiting);
  }

  onSums(from: number, sums: ExpertSums): void {
    for (const waiting of this.#waiting) {
      if (waiting.exchange.onSums(from, sums)) return this.#look(waiting);
    }
  }

  onRefusal(from: number, refusal: ExpertRefusal): void {
    for (const waiting of this.#waiting) {
      if (waiting.exchange.onRefusal(from, refusal)) return this.#look(waiting);
    }
  }

  // Sessions were cancelled, re-routed, released or lost: steps that nobody waits for end.
  dropUnwanted(): void {
    for (const waiting of this.#waiting) {
      if (waiting.isWanted()) continue;
      waiting.failed(new ShoalError("cancelled", "nobody waits for this step any more"));
    }
  }

  // From the output of one part, [residual, routed, routes] of a layer, to the next one's input.
  async #between(
    assign: Assign,
    part: number,
    output: Float32Array,
    untilMs: number,
    isWanted: () => boolean,
  ): Promise<Float32Array<ArrayBuffer>> {
    const { hidden, generation } = assign;
    const { block, experts, takes_routed: takesRouted } = assign.parts[part]!;
    const width = 2 * hidden + experts;
    const routed = columns(output, width, hidden, hidden);
    const routes = columns(output, width, 2 * hidden, experts);
    const shape = { block, hidden, experts };
    const exchange = new ExpertExchange(this.#parts.core, shape, routed, routes);
    await this.#answers(exchange, generation, untilMs, isWanted);
    const residual = columns(output, width, 0, hidden);
    const values = takesRouted ? [residual, routed, exchange.sum()] : [residual, exchange.sum()];
    const rows = routed.length / hidden;
    const input = new Float32Array(rows * hidden * values.length);
    for (const [index, value] of values.entries()) {
      for (let row = 0; row < rows; ++row) {
        const at = (row * values.length + index) * hidden;
        input.set(value.subarray(row * hidden, (row + 1) * hidden), at);
      }
    }
    return input;
  }

  async #answers(
    exchange: ExpertExchange,
    generation: number,
    untilMs: number,
    isWanted: () => boolean,
  ): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const end = (): void => {
        clearTimeout(timer);
        this.#waiting.delete(waiting);
      };
      const waiting: Waiting = {
        generation,
        exchange,
        isWanted,
        done: () => {
          end();
          resolve();
        },
        failed: (error) => {
          end();
          reject(error);
        },
      };
      const late = (): void => {
        const detail = `after ${patienceMs / 1000} seconds ${exchange.missing}`;
        waiting.failed(new ShoalError("unavailable", detail));
      };
      const timer = setTimeout(late, Math.max(0, untilMs - performance.now()));
      this.#waiting.add(waiting);
      this.#ask(waiting);
    });
  }

  #ask(waiting: Waiting): void {
    // Without its table nobody can be asked yet.
    if (this.#table.generation !== waiting.generation) return;
    try {
      const requests = waiting.exchange.ask(this.#table, () => this.#nextRequest++);
      for (const { to, rows } of requests) this.#parts.outbox.send("expert-rows", rows, to);
    } catch (thrown) {
      return waiting.failed(ShoalError.from(thrown));
    }
    this.#look(waiting);
  }

  #look(waiting: Waiting): void {
    if (waiting.exchange.error !== undefined) waiting.failed(waiting.exchange.error);
    else if (waiting.exchange.isDone) waiting.done();
  }

  // A cache that was lost with its session needs no mending.
  async #rollback(groups: readonly RowGroup[]): Promise<void> {
    await this.#inQueue(async () => {
      for (const { kv, position } of groups) {
        await this.#parts.executors.rollback(kv, position).catch(() => undefined);
      }
    });
  }

  #inQueue<T>(work: () => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#parts.queue.pushAlways(0, () => work().then(resolve, reject));
    });
  }
}

function joined(parts: readonly Float32Array[]): Float32Array {
  const all = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

// Columns [from, from + width) of rows of `rowWidth`.
function columns(
  rows: Float32Array,
  rowWidth: number,
  from: number,
  width: number,
): Float32Array<ArrayBuffer> {
  const count = rows.length / rowWidth;
  const part = new Float32Array(count * width);
  for (let row = 0; row < count; ++row) {
    part.set(rows.subarray(row * rowWidth + from, row * rowWidth + from + width), row * width);
  }
  return part;
}
