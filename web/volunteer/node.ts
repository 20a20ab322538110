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
  type Open,
  type Step,
} from "../core/index.ts";
import type { MemoryBlobs } from "./blobs.ts";
import { DividedSteps } from "./divided_steps.ts";
import type { Executor } from "./executor.ts";
import { ExpertHolder } from "./expert_holder.ts";
import { copyKv, exportKv, importKv } from "./kv_moves.ts";
import { Link, type Socket, type SocketHandlers } from "./link.ts";
import type { ChosenOptions, Counters, VolunteerEvent, VolunteerState } from "./messages.ts";
import { Outbox } from "./outbox.ts";
import { holdsStage, PartExecutors } from "./parts.ts";
import { SessionGate } from "./session_gate.ts";
import { SessionTable } from "./sessions.ts";
import { StageKeeper } from "./stage_keeper.ts";
import { runStep } from "./step.ts";
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
  readonly #gate = new SessionGate();
  readonly #divided: DividedSteps;
  readonly #experts: ExpertHolder;
  // Frames that wait for what is under way of their sessions.
  #gated = 0;
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
      this.#outbox.sendError(new ShoalError("invalid_argument", "hello gave no node number"));
      this.#link.drop("the coordinator gave no node number");
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
        this.#failStep(frame, error);
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
        return this.#onOpen(frame.body);
      case "step":
        return this.#onStep(frame, bytes, arrivedMs);
      case "cancel":
        this.#sessions.cancel(frame.body);
        return this.#divided.dropUnwanted();
      case "release":
        return this.#onRelease(frame.body.session);
      case "rollback":
        return this.#onRollback(frame);
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
        return this.#onKv(frame, bytes);
      case "replay":
        throw new ShoalError("unimplemented", `this volunteer does not do ${frame.kind} yet`);
      default:
        throw new ShoalError("invalid_argument", `a ${frame.kind} frame is not for volunteers`);
    }
  }

  #onPing({ body }: FrameOf<"ping">): void {
    if (!body.reply) this.#outbox.send("ping", { nonce: body.nonce, reply: true });
  }

  // --- Sessions ----------------------------------------------------------------------------------

  #onOpen(open: Open): void {
    const opened = this.#sessions.open(open);
    this.#divided.dropUnwanted();
    const { session } = opened;
    this.#inTurn(open.session, async () => {
      if (session.gone) return;
      if (opened.kind === "new") return await this.#executors.open(session.kv, session.capacity);
      await this.#truncate(open.session, open.epoch, opened.keep);
    });
  }

  #onRollback({ body }: FrameOf<"rollback">): void {
    this.#sessions.require(body.session, body.epoch);
    const work = (): Promise<void> => this.#truncate(body.session, body.epoch, body.position);
    if (this.#isDivided()) this.#inTurn(body.session, work);
    else this.#queue.push(0, work);
  }

  // Answers with an error when fewer positions are there than are to be kept.
  async #truncate(id: bigint, epoch: number, length: number): Promise<void> {
    const session = this.#sessions.get(id);
    if (session === undefined || session.epoch !== epoch) return;
    if (length > session.length) {
      const error = new ShoalError(
        "out_of_range",
        `asked to keep ${length} positions, ${session.length} are held`,
      );
      this.#outbox.sendError(error, { session: id, epoch });
      return;
    }
    await this.#executors.rollback(session.kv, length);
    session.length = length;
  }

  #onRelease(id: bigint): void {
    const session = this.#sessions.release(id);
    if (session === undefined) return;
    this.#divided.dropUnwanted();
    const held = this.#stage.held;
    this.#inTurn(id, async () => {
      if (held !== undefined && held === this.#stage.held) {
        await this.#executors.release(session.kv);
      }
    });
  }

  // Queues work of one session, behind what else there is of it.
  #inTurn(session: bigint, work: () => Promise<void>): void {
    if (!this.#isDivided()) return this.#queue.pushAlways(0, work);
    this.#gate.run([session], () => this.#queueTurn(0, work));
  }

  #queueTurn(bytes: number, work: () => Promise<void>): Promise<void> {
    return new Promise((resolve) => {
      this.#queue.pushAlways(bytes, () => work().finally(resolve));
    });
  }

  // Whether a step of what is held takes several turns in the queue.
  #isDivided(): boolean {
    return (this.#stage.held?.assign.parts.length ?? 0) > 0;
  }

  // KV moves in its turn; what fails is told of the session's epoch.
  #onKv(frame: FrameOf<"kv-export" | "kv-import" | "kv-copy">, bytes: number): void {
    const { session: id, epoch } = frame.body;
    const held = this.#stage.held;
    const session = this.#sessions.require(id, epoch);
    const source = frame.kind === "kv-copy" ? this.#sessions.get(frame.body.source) : undefined;
    if (frame.kind === "kv-copy" && source === undefined) {
      throw new ShoalError("not_found", `session ${frame.body.source} is not open here`);
    }
    const work = async (): Promise<void> => {
      if (held === undefined || held !== this.#stage.held) return;
      if (session.gone || session.epoch !== epoch) return;
      const { assign } = held;
      const executor = this.#executors;
      try {
        if (frame.kind === "kv-import") {
          await importKv(this.#parts.core, executor, assign.kv, session, frame.body);
        } else if (frame.kind === "kv-copy") {
          await copyKv(executor, session, source!, frame.body.positions);
        } else {
          await exportKv(executor, assign.kv, session, frame.body, (body, to) =>
            this.#outbox.send("kv-import", body, to),
          );
        }
      } catch (thrown) {
        if (session.gone || session.epoch !== epoch) return;
        const error = ShoalError.from(thrown);
        this.#problem(error);
        this.#outbox.sendError(error, { session: id, epoch });
      }
      this.#countersSoon();
    };
    const size = frame.kind === "kv-import" ? bytes : 0;
    if (!this.#isDivided()) return this.#queue.push(size, work);
    const of = source === undefined ? [id] : [id, source.id];
    this.#inGate(of, () => this.#queueTurn(size, work));
  }

  #onStep(frame: FrameOf<"step">, bytes: number, arrivedMs: number): void {
    const held = this.#stage.held;
    if (held === undefined || !holdsStage(held.assign)) {
      throw new ShoalError("failed_precondition", "no stage is held here; steps cannot be run");
    }
    const decodeMs = this.#parts.now() - arrivedMs;
    this.#runInTurn(frame.body, bytes, async () => {
      // A newer assignment has dropped every session of this one.
      if (held !== this.#stage.held) return;
      const arrived = { step: frame.body, bytes, arrivedMs, decodeMs };
      try {
        const done = await runStep(held, arrived);
        if (done.rows > 0) ++this.#counters.steps;
        this.#counters.rows += done.rows;
        this.#counters.tokens += done.tokens;
        this.#counters.computeMs += done.computeUs / 1000;
      } catch (thrown) {
        if (held === this.#stage.held) this.#failStep(frame, ShoalError.from(thrown));
      }
      this.#countersSoon();
    });
  }

  #runInTurn({ rows }: Step, bytes: number, work: () => Promise<void>): void {
    if (!this.#isDivided()) return this.#queue.push(bytes, work);
    this.#inGate(
      rows.map(({ session }) => session),
      work,
    );
  }

  #inGate(sessions: bigint[], work: () => Promise<void>): void {
    if (this.#gated >= queueLimits.items) {
      throw new ShoalError("resource_exhausted", `${this.#gated} frames wait here`);
    }
    ++this.#gated;
    this.#gate.run(sessions, () => work().finally(() => --this.#gated));
  }

  // The step as a whole failed: every session in it is told.
  #failStep({ body }: FrameOf<"step">, error: ShoalError): void {
    this.#problem(error);
    const epochs = new Map(body.rows.map((row) => [row.session, row.epoch]));
    for (const [session, epoch] of epochs) this.#outbox.sendError(error, { session, epoch });
  }

  // --- Counters ----------------------------------------------------------------------------------

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
