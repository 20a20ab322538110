// An assignment as graphs to run: a stage in one, a stage whose experts are elsewhere in parts, or
// experts, a graph for each layer. Every graph has an executor of its own.

import { ShoalError, type Assign, type KvSlot, type StageFile } from "../core/index.ts";
import type {
  Executor,
  KvPart,
  LoadedStage,
  RunRequest,
  RunResult,
  Stage,
  StageFiles,
} from "./executor.ts";

export interface Part {
  stage: Stage;
  graph: StageFile;
}

export function holdsStage(assign: Assign): boolean {
  return assign.first !== assign.last;
}

export function partsOf(assign: Assign): Part[] {
  return holdsStage(assign) ? stageParts(assign) : expertParts(assign);
}

function stageParts(assign: Assign): Part[] {
  const { first, last, hidden, vocab, max_rows: maxRows, positions, kv, parts } = assign;
  const all: Part[] = [];
  for (let index = 0; index <= parts.length; ++index) {
    const before = parts[index - 1];
    const after = parts[index];
    // A layer's attention belongs to the part that ends with its experts.
    const slots = kv.filter(
      ({ block }: KvSlot) =>
        (before === undefined || block > before.block) &&
        (after === undefined || block <= after.block),
    );
    const stage: Stage = { first, last, hidden, vocab, maxRows, positions, kv: slots };
    if (before !== undefined) {
      const routed = before.takes_routed ? [{ name: `routed.${before.block}`, width: hidden }] : [];
      stage.inputs = [
        { name: `residual.${before.block}`, width: hidden },
        ...routed,
        { name: `expert_sum.${before.block}`, width: hidden },
      ];
    }
    if (after !== undefined) {
      stage.outputs = [
        { name: `residual.${after.block}`, width: hidden },
        { name: `routed.${after.block}`, width: hidden },
        { name: `routes.${after.block}`, width: after.experts },
      ];
    }
    all.push({ stage, graph: before === undefined ? assign.graph : before.graph });
  }
  return all;
}

// A request is all that a session of experts lasts.
function expertParts({ hidden, vocab, max_rows: maxRows, experts }: Assign): Part[] {
  return experts.map(({ block, experts: count, graph }) => ({
    stage: {
      first: block,
      last: block + 1,
      hidden,
      vocab,
      maxRows,
      positions: maxRows,
      kv: [],
      inputs: [
        { name: `routed.${block}`, width: hidden },
        { name: `routes.${block}`, width: count },
      ],
      outputs: [{ name: `expert_sum.${block}`, width: hidden }],
    },
    graph,
  }));
}

// The executors of all parts. One thing at a time, like an Executor.
export class PartExecutors {
  readonly #create: () => Executor;
  readonly #executors: Executor[];
  // Of each part.
  #slots: KvSlot[][] = [];
  #count = 0;
  #picksLargest = false;

  // `first` is always there; further ones are made when they are needed.
  constructor(first: Executor, create: () => Executor) {
    this.#executors = [first];
    this.#create = create;
  }

  // Of the head, as the executor said when it loaded it (LoadedStage).
  get picksLargest(): boolean {
    return this.#picksLargest;
  }

  // Whether the last part has the head.
  async load(parts: readonly Part[], files: readonly StageFiles[]): Promise<boolean> {
    // Those that are loaded anew give up what they had by themselves.
    for (const executor of this.#executors.slice(parts.length)) await executor.unload();
    this.#count = 0;
    this.#slots = parts.map(({ stage }) => stage.kv);
    let loaded: LoadedStage = { hasHead: false };
    for (const [index, { stage }] of parts.entries()) {
      this.#executors[index] ??= this.#create();
      this.#count = index + 1;
      loaded = await this.#executors[index]!.load(stage, files[index]!);
      if (loaded.hasHead && (index + 1 < parts.length || stage.outputs !== undefined)) {
        throw new ShoalError("invalid_argument", "a part before the last gives logits");
      }
    }
    this.#picksLargest = loaded.picksLargest ?? false;
    return loaded.hasHead;
  }

  async unload(): Promise<void> {
    this.#count = 0;
    for (const executor of this.#executors) await executor.unload();
  }

  async open(kv: number, capacity: number): Promise<void> {
    for (const executor of this.#loaded()) await executor.open(kv, capacity);
  }

  // The executor of one part.
  part(index: number): Executor {
    const executor = this.#loaded()[index];
    if (executor === undefined) throw new ShoalError("failed_precondition", "no stage is loaded");
    return executor;
  }

  async run(part: number, request: RunRequest): Promise<RunResult> {
    return await this.part(part).run(request);
  }

  // Of a step under way some parts have run and others have not: those forget nothing.
  async rollback(kv: number, length: number): Promise<void> {
    for (const executor of this.#loaded()) await executor.rollback(kv, length);
  }

  async release(kv: number): Promise<void> {
    for (const executor of this.#loaded()) await executor.release(kv);
  }

  // Of the part that has the block.
  async exportKv(kv: number, block: number, from: number, to: number): Promise<KvPart> {
    return await this.#withBlock(block).exportKv(kv, block, from, to);
  }

  async importKv(kv: number, block: number, part: KvPart): Promise<void> {
    await this.#withBlock(block).importKv(kv, block, part);
  }

  async copyKv(from: number, to: number, positions: number): Promise<void> {
    for (const executor of this.#loaded()) await executor.copyKv(from, to, positions);
  }

  #withBlock(block: number): Executor {
    const index = this.#slots.findIndex((slots) => slots.some((slot) => slot.block === block));
    if (index < 0) throw new ShoalError("not_found", `block ${block} has no KV cache here`);
    return this.part(index);
  }

  #loaded(): Executor[] {
    return this.#executors.slice(0, this.#count);
  }
}
