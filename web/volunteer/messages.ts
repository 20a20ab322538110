// Messages between a page and its node worker.

import type { ErrorCode } from "../core/index.ts";
import type { FileProgress } from "./assignment.ts";
import type { ExecutorName } from "./executor.ts";

export interface VolunteerOptions {
  // The coordinator: http(s)://host[:port].
  url: string;
  // The fastest on this machine when absent.
  executor?: ExecutorName | undefined;
  // Lent for weights and KV caches together.
  memoryBytes: number;
  // Of the executor; more than one needs cross-origin isolation.
  threads?: number;
  // Of the browser's storage, for all models together; undefined: a share of what there is.
  cacheBytes?: number;
  // Of a private swarm.
  joinSecret?: string;
  // Of the time that the executor may be at work; 1 when absent.
  timeShare?: number;
  // That may still come and go; no limit when absent.
  dataBytesLeft?: number;
}

// With the executor that was asked for, or found to be the fastest.
export type ChosenOptions = VolunteerOptions & { executor: ExecutorName };

export type PageToNode =
  | { kind: "start"; options: VolunteerOptions; platform: string }
  // Other limits from now on.
  | { kind: "limits"; timeShare: number; dataBytesLeft: number }
  | { kind: "stop"; reason: string };

// connecting: no connection yet. waiting: connected, nothing to hold. loading: fetching and
// building a stage. ready: steps are run. reconnecting: the connection was lost, the next attempt
// comes by itself. refused: the coordinator will not have us; stopped: by the page. The last two
// are final.
export type VolunteerState =
  "connecting" | "waiting" | "loading" | "ready" | "reconnecting" | "refused" | "stopped";

export interface Counters {
  steps: number;
  rows: number;
  tokens: number;
  bytesIn: number;
  bytesOut: number;
  computeMs: number;
  sessions: number;
  kvBytes: number;
}

// An executor that was measured on this machine before anything was lent.
export interface Tried {
  executor: ExecutorName;
  // What one token is expected to take over as many bytes of weights as are lent; undefined when
  // it could not be measured: `problem` says why.
  stepMs: number | undefined;
  problem: string;
}

export type VolunteerEvent =
  // What stages will run on, and what it was chosen from.
  | { kind: "executor"; executor: ExecutorName; memoryBytes: number; tried: Tried[] }
  | { kind: "state"; state: VolunteerState; node: number; detail: string }
  | {
      kind: "progress";
      bytesDone: number;
      bytesTotal: number;
      bytesFetched: number;
      files: FileProgress[];
    }
  // Blocks [first, last); equal: nothing.
  | { kind: "holding"; first: number; last: number; hasHead: boolean; weightBytes: number }
  | { kind: "counters"; counters: Counters }
  // Bytes that came and went since the start, files and frames together. `isSpent`: the allowance
  // is used up, or cannot take the next file; the volunteer leaves.
  | { kind: "data"; bytes: number; isSpent: boolean }
  // Something went wrong and was reported; the volunteer goes on unless the state says otherwise.
  | { kind: "problem"; code: ErrorCode; detail: string };
