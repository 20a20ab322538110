// How often each block is held, and what that means.

import { describeBlocks, type Status } from "../common/status.ts";

export interface Coverage {
  // Volunteers that have the block ready, per block.
  ready: number[];
  // Those that are fetching it.
  loading: number[];
}

export function coverageOf({ blocks, volunteers }: Status): Coverage {
  const ready = new Array<number>(blocks).fill(0);
  const loading = new Array<number>(blocks).fill(0);
  for (const { blocks: ranges, state } of volunteers) {
    const counts = state === "loading" ? loading : ready;
    for (const [from, to] of ranges) {
      for (let block = from; block < Math.min(to, blocks); ++block) ++counts[block]!;
    }
  }
  return { ready, loading };
}

// Blocks with the same counts together, in order.
export interface CoverageRun {
  from: number;
  to: number;
  ready: number;
  loading: number;
}

export function runsOfCoverage({ ready, loading }: Coverage): CoverageRun[] {
  const runs: CoverageRun[] = [];
  for (const [block, count] of ready.entries()) {
    const last = runs.at(-1);
    const loads = loading[block]!;
    if (last !== undefined && last.ready === count && last.loading === loads) last.to = block + 1;
    else runs.push({ from: block, to: block + 1, ready: count, loading: loads });
  }
  return runs;
}

export function describeRun({ from, to, ready, loading }: CoverageRun, blocks: number): string {
  const name = describeBlocks([from, to], blocks);
  const by = ready === 0 ? "nobody" : `${ready} ${ready === 1 ? "volunteer" : "volunteers"}`;
  return loading > 0 ? `${name}: ${by}, ${loading} fetching` : `${name}: ${by}`;
}

// Fewest copies of any block: so many volunteers may leave at once, less one, without a gap.
export function leastCopies({ ready }: Coverage): number {
  return ready.length === 0 ? 0 : Math.min(...ready);
}
