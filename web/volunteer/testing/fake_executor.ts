// An executor whose sums can be done in the head: the hidden state after a row is the input plus
// one, and the logits favour token 10 * position + (number of blocks).

import { ShoalError } from "../../core/index.ts";
import type {
  Executor,
  KvPart,
  LoadedStage,
  RunRequest,
  RunResult,
  Stage,
  StageFiles,
} from "../executor.ts";

export class FakeExecutor implements Executor {
  stage: Stage | undefined;
  // Positions that each open KV cache holds.
  readonly lengths = new Map<number, number>();
  // By "cache block".
  readonly imported = new Map<string, KvPart>();
  readonly log: string[] = [];
  // The last block of the whole model.
  readonly head: number;
  // What it says of itself when it loads.
  picksLargest = false;
  // Given each run; may wait, throw, or change what comes out.
  onRun: (request: RunRequest, result: RunResult) => Promise<void> | void = () => {};
  onLoad: (files: StageFiles) => Promise<void> | void = () => {};

  constructor(head: number) {
    this.head = head;
  }

  async load(stage: Stage, files: StageFiles): Promise<LoadedStage> {
    this.log.push(`load ${stage.first} ${stage.last}`);
    this.lengths.clear();
    await this.onLoad(files);
    this.stage = stage;
    return { hasHead: stage.last === this.head + 1, picksLargest: this.picksLargest };
  }

  async unload(): Promise<void> {
    this.log.push("unload");
    this.stage = undefined;
    this.lengths.clear();
  }

  async open(kv: number): Promise<void> {
    this.lengths.set(kv, 0);
  }

  async run(request: RunRequest): Promise<RunResult> {
    const stage = this.stage!;
    const hasHead = stage.last === this.head + 1;
    const width = stage.first === 0 ? 1 : stage.hidden;
    const result: RunResult = { groups: [], computeUs: 1000 };
    let row = 0;
    for (const { kv, position, rows, logitRows } of request.groups) {
      if (this.lengths.get(kv) !== position) throw new ShoalError("internal", "wrong position");
      this.lengths.set(kv, position + rows);
      const output = new Float32Array(
        hasHead ? logitRows.length * stage.vocab : rows * stage.hidden,
      );
      if (hasHead) {
        for (const [index, picked] of logitRows.entries()) {
          const favourite = 10 * (position + picked) + (stage.last - stage.first);
          output[index * stage.vocab + favourite] = 5;
        }
      } else {
        for (let i = 0; i < output.length; ++i) {
          const at = row * width + (width === 1 ? Math.floor(i / stage.hidden) : i);
          output[i] = request.input[at]! + 1;
        }
      }
      row += rows;
      result.groups.push({ ok: true, output });
    }
    await this.onRun(request, result);
    return result;
  }

  async rollback(kv: number, length: number): Promise<void> {
    this.lengths.set(kv, length);
  }

  async release(kv: number): Promise<void> {
    this.lengths.delete(kv);
  }

  // What was imported, or else the block and each position.
  async exportKv(kv: number, block: number, from: number, to: number): Promise<KvPart> {
    const given = this.imported.get(`${kv} ${block}`);
    if (given !== undefined) return given;
    const keys = Float32Array.from({ length: 2 * (to - from) }, (_, i) => 100 * block + from + i);
    return { from, to, keys, values: keys.map((key) => -key) };
  }

  async importKv(kv: number, block: number, part: KvPart): Promise<void> {
    this.imported.set(`${kv} ${block}`, part);
    this.lengths.set(kv, part.to);
  }

  async copyKv(from: number, to: number, positions: number): Promise<void> {
    if ((this.lengths.get(from) ?? 0) < positions) throw new ShoalError("out_of_range", "shorter");
    this.lengths.set(to, positions);
  }
}
