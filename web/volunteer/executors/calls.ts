// Messages between the node worker and its executor worker.

import type { KvPart, LoadedStage, RunRequest, RunResult, Stage, StageFiles } from "../executor.ts";

// `type`, not `interface`: a call table must be indexable by name.
export type ExecutorCalls = {
  load: { in: { stage: Stage; files: StageFiles; threads: number }; out: LoadedStage };
  open: { in: { kv: number; capacity: number }; out: void };
  run: { in: RunRequest; out: RunResult };
  rollback: { in: { kv: number; length: number }; out: void };
  release: { in: { kv: number }; out: void };
  exportKv: { in: { kv: number; block: number; from: number; to: number }; out: KvPart };
  importKv: { in: { kv: number; block: number; part: KvPart }; out: void };
  copyKv: { in: { from: number; to: number; positions: number }; out: void };
};
