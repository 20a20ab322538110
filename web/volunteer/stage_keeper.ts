// The stage that this volunteer holds: takes assignments, fetches and builds, tells the coordinator
// how far it is, and lets go when a newer one comes.

import { ShoalError, type Assign, type Core } from "../core/index.ts";
import {
  checkAssign,
  fetchStage,
  fileBytes,
  holdsNothing,
  filesOf,
  kvBytesPerPosition,
  type LoadProgress,
} from "./assignment.ts";
import type { MemoryBlobs } from "./blobs.ts";
import type { DividedSteps } from "./divided_steps.ts";
import type { StageFiles } from "./executor.ts";
import type { VolunteerEvent, VolunteerState } from "./messages.ts";
import type { Outbox } from "./outbox.ts";
import { holdsStage, partsOf, type PartExecutors } from "./parts.ts";
import type { SessionTable } from "./sessions.ts";
import type { StepContext, StepExecutor } from "./step.ts";
import type { WorkQueue } from "./work_queue.ts";

const progressEveryMs = 200;

export interface StageKeeperParts {
  memoryBytes: number;
  core: Core;
  executors: PartExecutors;
  divided: DividedSteps;
  blobs: MemoryBlobs;
  outbox: Outbox;
  sessions: SessionTable;
  // Of everything that is done on the executor.
  queue: WorkQueue;
  onState(state: VolunteerState, detail: string): void;
  onProblem(error: ShoalError): void;
  emit(event: VolunteerEvent): void;
  now(): number;
}

// What the executor has loaded.
interface Built {
  graphs: string;
  hasHead: boolean;
}

export class StageKeeper {
  readonly #parts: StageKeeperParts;
  #newest: Assign | undefined;
  #held: StepContext | undefined;
  #built: Built | undefined;
  // Of the assignment under way.
  #loading: AbortController | undefined;
  // Assignments are worked on one after the other.
  #loads = Promise.resolve();
  #progressAtMs = -Infinity;
  #wholeFiles = 0;

  constructor(parts: StageKeeperParts) {
    this.#parts = parts;
  }

  // What steps are run with; undefined while nothing is held.
  get held(): StepContext | undefined {
    return this.#held;
  }

  get state(): "ready" | "loading" | "waiting" {
    if (this.#held !== undefined) return "ready";
    return this.#loading === undefined ? "waiting" : "loading";
  }

  // Answers with ready frames, or with an error frame that names the generation. Throws for an
  // assignment older than the newest.
  assign(assign: Assign): void {
    const { generation } = assign;
    const newest = this.#newest?.generation ?? 0;
    if (generation < newest || generation === 0) {
      throw new ShoalError(
        "failed_precondition",
        `assignment ${generation} came after assignment ${newest}`,
      );
    }
    if (generation === newest && this.state !== "waiting") {
      // Told again after a lost connection: what is held or under way stays.
      if (this.#held !== undefined) this.#sendReady(assign, true, fileBytes(assign), 0);
      return;
    }
    this.#loading?.abort();
    this.#drop();
    this.#newest = assign;
    const loading = new AbortController();
    this.#loading = loading;
    this.#parts.onState("loading", "");
    this.#loads = this.#loads.then(() => this.#load(assign, loading));
  }

  // The coordinator does not count on anything here any more. Files and graph stay for the next
  // assignment.
  forget(): void {
    this.#loading?.abort();
    this.#loading = undefined;
    this.#newest = undefined;
    this.#drop();
  }

  // The executor lost its stage and every KV cache by itself.
  executorDied(error: ShoalError): void {
    this.#built = undefined;
    if (this.#held === undefined || this.#newest === undefined) return;
    const { generation } = this.#newest;
    this.#drop();
    this.#parts.onProblem(error);
    this.#parts.outbox.sendError(error, { generation });
    this.#parts.onState("waiting", error.detail);
  }

  async #load(assign: Assign, loading: AbortController): Promise<void> {
    const { signal } = loading;
    const { blobs, executors, memoryBytes, outbox, onProblem, onState } = this.#parts;
    if (signal.aborted) return;
    try {
      checkAssign(assign, memoryBytes);
      blobs.retain(new Set(filesOf(assign).map((file) => file.location)));
      let hasHead = false;
      if (holdsNothing(assign)) {
        this.#built = undefined;
        await this.#inQueue(() => executors.unload());
      } else {
        hasHead = await this.#build(assign, signal);
      }
      if (!signal.aborted) this.#hold(assign, hasHead);
    } catch (thrown) {
      if (signal.aborted) return;
      const error = ShoalError.from(thrown);
      // Files may have been at fault: the next assignment has them verified anew.
      blobs.retain(new Set());
      onProblem(error);
      outbox.sendError(error, { generation: assign.generation });
      this.#loading = undefined;
      onState("waiting", error.detail);
    }
  }

  // Fetches and builds; whether the stage has the head.
  async #build(assign: Assign, signal: AbortSignal): Promise<boolean> {
    let last: LoadProgress | undefined;
    const files = await fetchStage(assign, this.#parts.blobs, signal, (progress) => {
      last = progress;
      this.#onProgress(assign, progress, false);
    });
    if (last !== undefined) this.#onProgress(assign, last, true);
    // The same graphs, the same weights: they are named in them by their hashes.
    const graphs = partsOf(assign).map(({ graph }) => graph.location);
    if (this.#built?.graphs === graphs.join()) return this.#built.hasHead;
    this.#built = undefined;
    const hasHead = await this.#inQueue(() => this.#loadExecutor(assign, files, signal));
    if (!signal.aborted) this.#built = { graphs: graphs.join(), hasHead };
    return hasHead;
  }

  // A newer assignment ends the building of this one.
  async #loadExecutor(assign: Assign, files: StageFiles[], signal: AbortSignal): Promise<boolean> {
    const { executors } = this.#parts;
    const stop = (): void => void executors.unload();
    if (signal.aborted) throw new ShoalError("cancelled", "a newer assignment replaced this one");
    signal.addEventListener("abort", stop, { once: true });
    try {
      return await executors.load(partsOf(assign), files);
    } finally {
      signal.removeEventListener("abort", stop);
    }
  }

  // Runs after what is under way on the executor.
  #inQueue<T>(work: () => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#parts.queue.pushAlways(0, () => work().then(resolve, reject));
    });
  }

  #hold(assign: Assign, hasHead: boolean): void {
    const { core, sessions, outbox, memoryBytes, now, emit, onState } = this.#parts;
    const { first, last, generation, positions } = assign;
    this.#loading = undefined;
    const weightBytes = holdsNothing(assign) ? 0 : fileBytes(assign);
    emit({ kind: "holding", first, last, hasHead, weightBytes });
    if (holdsStage(assign)) {
      sessions.reset({
        generation,
        hasHead,
        positions,
        kvBytesPerPosition: kvBytesPerPosition(assign),
        kvBytesMax: memoryBytes - weightBytes,
      });
    }
    if (!holdsNothing(assign)) {
      const executor = this.#stepExecutor(assign);
      this.#held = { core, executor, sessions, outbox, assign, hasHead, now };
    }
    this.#sendReady(assign, true, weightBytes, 0);
    onState(this.state, "");
  }

  #stepExecutor(assign: Assign): StepExecutor {
    const { executors, divided } = this.#parts;
    return {
      picksLargest: executors.picksLargest,
      run: (request, isWanted) =>
        assign.parts.length === 0
          ? executors.run(0, request)
          : divided.run(assign, request, isWanted),
      rollback: (kv, length) => executors.rollback(kv, length),
    };
  }

  // Lets go of the assignment and of every session.
  #drop(): void {
    const { sessions, queue, executors, divided, emit } = this.#parts;
    this.#held = undefined;
    const lost = sessions.reset(undefined);
    divided.dropUnwanted();
    for (const { kv } of lost) {
      queue.pushAlways(0, async () => {
        if (this.#built !== undefined) await executors.release(kv);
      });
    }
    emit({ kind: "holding", first: 0, last: 0, hasHead: false, weightBytes: 0 });
  }

  #onProgress(assign: Assign, progress: LoadProgress, always: boolean): void {
    const now = this.#parts.now();
    // Every piece that is whole is told at once: nothing may follow it for long.
    const whole = progress.files.filter(({ bytes, done }) => done === bytes).length;
    const isDue = whole !== this.#wholeFiles || now - this.#progressAtMs >= progressEveryMs;
    if (!always && !isDue) return;
    this.#wholeFiles = whole;
    this.#progressAtMs = now;
    this.#sendReady(assign, false, progress.bytesDone, progress.bytesFetched);
    this.#parts.emit({ kind: "progress", ...structuredClone(progress) });
  }

  #sendReady(assign: Assign, done: boolean, bytesDone: number, bytesFetched: number): void {
    this.#parts.outbox.send("ready", {
      generation: assign.generation,
      done,
      bytes_done: bytesDone,
      bytes_total: holdsNothing(assign) ? 0 : fileBytes(assign),
      bytes_fetched: bytesFetched,
    });
  }
}
