// The head of a stage on the GPU: of the logits of a run, the largest of each row where they are
// enough, or all.

import type { Tensor } from "onnxruntime-common";

import type { GroupResult, RowGroup } from "../executor.ts";
import { largestLogits, type LargestLogits } from "../largest.ts";
import { GpuLargest } from "./gpu_largest.ts";
import { checkFloats } from "./ort_graph.ts";

export type GroupOutput = Extract<GroupResult, { ok: true }>;

export class GpuHead {
  readonly #largest: GpuLargest;
  readonly #vocab: number;

  constructor(device: GPUDevice, vocab: number) {
    this.#largest = new GpuLargest(device, vocab);
    this.#vocab = vocab;
  }

  destroy(): void {
    this.#largest.destroy();
  }

  // `logits` [rows, vocab] lie on the GPU, and are freed: the rows wanted of all groups, one after
  // the other, or a row that nobody wants.
  async read(logits: Tensor, groups: readonly RowGroup[]): Promise<GroupOutput[]> {
    const rows = Math.max(1, groups.reduce((sum, { logitRows }) => sum + logitRows.length, 0));
    try {
      checkFloats(logits, "logits", [rows, this.#vocab]);
      const known = await this.#pick(logits, rows, groups);
      const isLeft = groups.some(({ logitRows }, i) => logitRows.length > 0 && !known[i]);
      const all = isLeft ? ((await logits.getData()) as Float32Array<ArrayBuffer>) : undefined;
      let row = 0;
      return groups.map(({ logitRows }, i) => {
        const from = row * this.#vocab;
        row += logitRows.length;
        const largest = known[i];
        if (largest !== undefined) return { ok: true, output: new Float32Array(0), largest };
        const output = all?.slice(from, row * this.#vocab) ?? new Float32Array(0);
        return { ok: true, output };
      });
    } finally {
      logits.dispose();
    }
  }

  // Of each group whose needs they meet.
  async #pick(
    logits: Tensor,
    rows: number,
    groups: readonly RowGroup[],
  ): Promise<(LargestLogits[] | undefined)[]> {
    const needs = groups.map(({ logitRows, largestNeeded: needed = 0 }) =>
      logitRows.length > 0 ? needed : 0,
    );
    if (needs.every((needed) => needed === 0)) return [];
    const picked = await this.#largest.pick(logits.gpuBuffer, rows);
    let row = 0;
    return groups.map(({ logitRows }, i) => {
      const own = picked.slice(row, row + logitRows.length);
      row += logitRows.length;
      const known = own.filter((each) => this.#decides(each, needs[i]!));
      return needs[i]! > 0 && known.length === own.length ? known : undefined;
    });
  }

  // Whether the first `needed` are known to be larger than all that was left out. NaN, which is
  // told apart later, need not be looked at again.
  #decides(row: LargestLogits | undefined, needed: number): row is LargestLogits {
    if (row === undefined) return false;
    if (this.#vocab <= largestLogits || Number.isNaN(row.logSumExp)) return true;
    return row.logits[needed - 1]! > row.logits[largestLogits - 1]!;
  }
}
