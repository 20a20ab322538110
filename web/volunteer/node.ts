// A volunteer: speaks wire v1 with the coordinator, loads what it is assigned, keeps sessions and
// runs their steps. Everything it touches is handed in, so that it runs in a Worker and in tests.
//
//   frames in --> session rules (at once) --> work queue (in order) --> executor --> frames out

import {
  coordinatorNode,
  ShoalError,
  type Core,
  type Frame,
  type FrameOf,
  type Measure,
} from "../core/index.ts";
import type { MemoryBlobs } from "./blobs.ts";
import { DividedSteps } from "./divided_steps.ts";
import type { Executor } from "./executor.ts";
import { ExpertHolder } from "./expert_holder.ts";
import { Link, type Socket, type SocketHandlers } from "./link.ts";
import type { ChosenOptions, Counters, VolunteerEvent, VolunteerState } from "./messages.ts";
import { Outbox } from "./outbox.ts";
import { PartExecutors } from "./parts.ts";
import { SessionWork } from "./session_work.ts";
import { SessionTable } from "./sessions.ts";
import { StageKeeper } from "./stage_keeper.ts";
import type { StepDone } from "./step.ts";
import { WorkQueue } from "./work_queue.ts";

export const wireVersion = 1;

const queueLimits = { items: 4096, bytes: 256 * 1024 * 1024 };
const countersEveryMs = 500;
// How long a leave frame may wait for its bye: sessions are handed over before it comes.
const leaveMs = 15_000;
// After a bye that we did not ask for.
const byePauseMs = 2000;

export interface NodeParts {
  options: ChosenOptions;
  agent: string;
  platform: string;
  core: Core;
  executor: Executor;
  // Makes a further one, for a stage in parts or for experts of several layers.
  newExecutor(): Executor;
  blobs: MemoryBlobs;
  // What this machine measured of itself, for the profile.
  measures: Measure[];
  openSocket(handlers: SocketHandlers): Socket;
  emit(event: VolunteerEvent): void;
  // Milliseconds, of any origin.
  now(): number;
  // In [0, 1).
  random(): number;
  // Awaited after work of so many milliseconds on the executor.
  rest?(busyMs: number): Promise<void>;
}

export class VolunteerNode {
  readonly #parts: NodeParts;
  readonly #outbox: Outbox;
  readonly #link: Link;
  readonly #sessions = new SessionTable();
  readonly #queue: WorkQueue;
  readonly #stage: StageKeeper;
  readonly #executors: PartExecutors;
  readonly #divided: DividedSteps;
  readonly #experts: ExpertHolder;
  readonly #work: SessionWork;
  readonly #counters: Counters = {
    steps: 0,
    rows: 0,
    tokens: 0,
    bytesIn: 0,
    bytesOut: 0,
    computeMs: 0,
    sessions: 0,
    kvBytes: 0,
  };
  #state: VolunteerState = "connecting";
  #resumeToken = "";
  #welcomed = false;
  #countersTimer: ReturnType<typeof setTimeout> | undefined;
  #leaving: (() => void) | undefined;

  constructor(parts: NodeParts) {
    this.#parts = parts;
    this.#outbox = new Outbox(parts.core, (bytes) => this.#link.send(bytes));
    this.#queue = new WorkQueue(
      queueLimits,
      (thrown) => this.#problem(ShoalError.from(thrown)),
      parts.rest,
    );
    this.#executors = new PartExecutors(parts.executor, parts.newExecutor);
    const shared = {
      core: parts.core,
      executors: this.#executors,
      queue: this.#queue,
      outbox: this.#outbox,
    };
    this.#divided = new DividedSteps(shared);
    this.#experts = new ExpertHolder({
      ...shared,
      onServed: (rows, computeUs) => {
        ++this.#counters.steps;
        this.#counters.rows += rows;
        this.#counters.computeMs += computeUs / 1000;
      },
    });
    this.#stage = new StageKeeper({
      ...parts,
      executors: this.#executors,
      divided: this.#divided,
      memoryBytes: parts.options.memoryBytes,
      outbox: this.#outbox,
      sessions: this.#sessions,
      queue: this.#queue,
      onState: (state, detail) => this.#enter(state, detail),
      onProblem: (error) => this.#problem(error),
    });
    this.#work = new SessionWork({
      ...shared,
      stage: this.#stage,
      sessions: this.#sessions,
      divided: this.#divided,
      now: () => parts.now(),
      onStep: (done) => this.#count(done),
      onDone: () => this.#countersSoon(),
      onProblem: (error) => this.#problem(error),
    });
    this.#enter("connecting", "");
    this.#link = new Link({
      openSocket: parts.openSocket,
      random: parts.random,
      onOpen: () => this.#sayHello(),
      onMessage: (data) => this.#onMessage(data),
      onSilence: () => this.#outbox.send("ping", { nonce: 1n, reply: false }),
      onLost: (reason, retryMs) => this.#onLost(reason, retryMs),
    });
  }

  // Tells the coordinator, waits for its bye for a moment, and ends.
  async stop(reason: string): Promise<void> {
    if (this.#isOver()) return;
    if (this.#welcomed) {
      const answered = new Promise<void>((resolve) => {
        this.#leaving = resolve;
        setTimeout(resolve, leaveMs);
      });
      this.#outbox.send("leave", { reason });
      await answered;
    }
    await this.#end("stopped", reason);
  }

  // The executor lost its stage and every KV cache by itself.
  onExecutorDeath(error: ShoalError): void {
    this.#stage.executorDied(error);
  }

  #isOver(): boolean {
    return this.#state === "stopped" || this.#state === "refused";
  }

  #enter(state: VolunteerState, detail: string): void {
    this.#state = state;
    this.#parts.emit({ kind: "state", state, node: this.#outbox.node, detail });
  }

  #problem(error: ShoalError): void {
    this.#parts.emit({ kind: "problem", code: error.code, detail: error.detail });
  }

  async #end(state: "stopped" | "refused", detail: string): Promise<void> {
    if (this.#isOver()) return;
    this.#link.close(detail);
    this.#stage.forget();
    clearTimeout(this.#countersTimer);
    this.#emitCounters();
    this.#enter(state, detail);
    await this.#executors.unload();
  }

  // --- The connection ----------------------------------------------------------------------------

  #sayHello(): void {
    this.#welcomed = false;
    this.#outbox.send("hello", {
      version_min: wireVersion,
      version_max: wireVersion,
      node: 0,
      agent: this.#parts.agent,
      join_secret: this.#parts.options.joinSecret ?? "",
      resume_token: this.#resumeToken,
    });
  }

  #sendProfile(): void {
    const { options, platform, blobs, measures } = this.#parts;
    this.#outbox.send("profile", {
      executor: options.executor,
      memory_bytes: options.memoryBytes,
      threads: options.threads ?? 1,
      platform,
      measures,
      cached: blobs.locations,
    });
  }

  #onLost(reason: string, retryMs: number): void {
    this.#welcomed = false;
    const seconds = (retryMs / 1000).toFixed(1);
    this.#enter("reconnecting", `${reason}; next attempt in ${seconds} s`);
  }

  #onWelcome({ body, to }: FrameOf<"hello">): void {
    if (body.version_min > wireVersion || body.version_max < wireVersion) {
      const detail =
        `the coordinator speaks wire versions ${body.version_min} to ${body.version_max}, this ` +
        `page speaks ${wireVersion}: reload the page`;
      this.#outbox.sendError(new ShoalError("unimplemented", detail));
      void this.#end("refused", detail);
      return;
    }
    const node = body.node === 0 ? to : body.node;
    if (node === 0) {
      const detail = "the coordinator gave no node number";
      this.#outbox.sendError(new ShoalError("invalid_argument", detail));
      this.#link.drop(detail);
      return;
    }
    // Another number: the coordinator does not know us any more, nor our sessions.
    if (node !== this.#outbox.node) this.#stage.forget();
    this.#outbox.node = node;
    this.#resumeToken = body.resume_token;
    this.#welcomed = true;
    this.#link.settled();
    this.#sendProfile();
    this.#enter(this.#stage.state, "");
  }

  #onBye(reason: string): void {
    if (this.#leaving !== undefined) this.#leaving();
    else this.#link.drop(reason || "the coordinator said bye", byePauseMs);
  }

  // An error frame to us. About the connection, and of a kind that coming back does not mend, it
  // ends the volunteer.
  #onError({ body }: FrameOf<"error">): void {
    const error = new ShoalError(body.code, body.detail);
    this.#problem(error);
    const final: ReadonlySet<string> = new Set([
      "failed_precondition",
      "permission_denied",
      "unimplemented",
      "invalid_argument",
    ]);
    if (!this.#welcomed && body.session === 0n && final.has(body.code)) {
      void this.#end("refused", body.detail);
    }
  }

  // --- Frames ------------------------------------------------------------------------------------

  #onMessage(data: unknown): void {
    const arrivedMs = this.#parts.now();
    let frame: Frame;
    let bytes: number;
    try {
      if (!(data instanceof ArrayBuffer)) {
        throw new ShoalError("invalid_argument", "a text message; frames are binary");
      }
      bytes = data.byteLength;
      this.#counters.bytesIn += bytes;
      frame = this.#parts.core.decode(new Uint8Array(data));
    } catch (thrown) {
      const error = ShoalError.from(thrown, "invalid_argument");
      this.#problem(error);
      // The core has trapped: nothing can be said or understood any more.
      if (error.code === "internal") void this.#end("refused", error.detail);
      else this.#outbox.sendError(error);
      return;
    }
    try {
      this.#onFrame(frame, bytes, arrivedMs);
    } catch (thrown) {
      const error = ShoalError.from(thrown);
      if (frame.kind === "step") {
        this.#work.failStep(frame, error);
      } else {
        this.#problem(error);
        this.#outbox.sendError(error, aboutFrame(frame));
      }
    }
    this.#countersSoon();
  }

  #onFrame(frame: Frame, bytes: number, arrivedMs: number): void {
    if (frame.kind === "ping") return this.#onPing(frame);
    if (frame.kind === "bye") return this.#onBye(frame.body.reason);
    if (frame.kind === "error") return this.#onError(frame);
    if (frame.kind === "hello") return this.#onWelcome(frame);
    if (!this.#welcomed) {
      throw new ShoalError("failed_precondition", `a ${frame.kind} frame came before hello`);
    }
    if (frame.to !== this.#outbox.node) {
      throw new ShoalError(
        "invalid_argument",
        `a frame for node ${frame.to} came to node ${this.#outbox.node}`,
      );
    }
    switch (frame.kind) {
      case "assign":
        return this.#stage.assign(frame.body);
      case "open":
        return this.#work.open(frame.body);
      case "step":
        return this.#work.step(frame, bytes, arrivedMs);
      case "cancel":
        this.#sessions.cancel(frame.body);
        return this.#divided.dropUnwanted();
      case "release":
        return this.#work.release(frame.body.session);
      case "rollback":
        return this.#work.rollback(frame);
      case "expert-table":
        if (frame.from !== coordinatorNode) {
          const detail = "only the coordinator says who holds experts";
          throw new ShoalError("permission_denied", detail);
        }
        return this.#divided.onTable(frame.body);
      case "expert-rows":
        return this.#experts.onRows(this.#stage.held?.assign, frame.from, frame.body, bytes);
      case "expert-sums":
        return this.#divided.onSums(frame.from, frame.body);
      case "expert-refusal":
        return this.#divided.onRefusal(frame.from, frame.body);
      case "kv-export":
      case "kv-import":
      case "kv-copy":
        return this.#work.moveKv(frame, bytes);
      case "replay":
        throw new ShoalError("unimplemented", `this volunteer does not do ${frame.kind} yet`);
      default:
        throw new ShoalError("invalid_argument", `a ${frame.kind} frame is not for volunteers`);
    }
  }

  #onPing({ body }: FrameOf<"ping">): void {
    if (!body.reply) this.#outbox.send("ping", { nonce: body.nonce, reply: true });
  }

  // --- Counters ----------------------------------------------------------------------------------

  #count({ rows, tokens, computeUs }: StepDone): void {
    if (rows > 0) ++this.#counters.steps;
    this.#counters.rows += rows;
    this.#counters.tokens += tokens;
    this.#counters.computeMs += computeUs / 1000;
  }

  #countersSoon(): void {
    if (this.#countersTimer !== undefined || this.#isOver()) return;
    this.#countersTimer = setTimeout(() => this.#emitCounters(), countersEveryMs);
  }

  #emitCounters(): void {
    this.#countersTimer = undefined;
    this.#counters.bytesOut = this.#outbox.bytesSent;
    this.#counters.sessions = this.#sessions.count;
    this.#counters.kvBytes = this.#sessions.reservedBytes;
    this.#parts.emit({ kind: "counters", counters: { ...this.#counters } });
  }
}

// The session or assignment that an error about `frame` names.
function aboutFrame(frame: Frame): { session?: bigint; epoch?: number; generation?: number } {
  if (frame.kind === "assign") return { generation: frame.body.generation };
  if (!("session" in frame.body)) return {};
  const epoch = "epoch" in frame.body ? frame.body.epoch : 0;
  return { session: frame.body.session, epoch };
}
