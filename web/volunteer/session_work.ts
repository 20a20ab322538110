// What is asked of sessions: to open them, run their steps, move and forget their KV. Session rules
// hold at once; the work is done in turn, of a whole stage through the work queue alone. A step of
// a divided stage takes several turns there, so that each session has a gate besides.

import { ShoalError, type Core, type FrameOf, type Open, type Step } from "../core/index.ts";
import type { DividedSteps } from "./divided_steps.ts";
import { copyKv, exportKv, importKv } from "./kv_moves.ts";
import type { Outbox } from "./outbox.ts";
import { holdsStage, type PartExecutors } from "./parts.ts";
import { SessionGate } from "./session_gate.ts";
import type { SessionTable } from "./sessions.ts";
import type { StageKeeper } from "./stage_keeper.ts";
import { runStep, type StepDone } from "./step.ts";
import type { WorkQueue } from "./work_queue.ts";

const gatedMax = 4096;

export interface SessionWorkParts {
  core: Core;
  stage: StageKeeper;
  sessions: SessionTable;
  executors: PartExecutors;
  divided: DividedSteps;
  queue: WorkQueue;
  outbox: Outbox;
  now(): number;
  onStep(done: StepDone): void;
  // After a step or a move of KV, also one that failed.
  onDone(): void;
  onProblem(error: ShoalError): void;
}

// Methods throw ShoalError for what is refused at once.
export class SessionWork {
  readonly #parts: SessionWorkParts;
  readonly #gate = new SessionGate();
  // Frames that wait for what is under way of their sessions.
  #gated = 0;

  constructor(parts: SessionWorkParts) {
    this.#parts = parts;
  }

  open(open: Open): void {
    const opened = this.#parts.sessions.open(open);
    this.#parts.divided.dropUnwanted();
    const { session } = opened;
    this.#inTurn(open.session, async () => {
      if (session.gone) return;
      if (opened.kind === "new") {
        return await this.#parts.executors.open(session.kv, session.capacity);
      }
      await this.#truncate(open.session, open.epoch, opened.keep);
    });
  }

  rollback({ body }: FrameOf<"rollback">): void {
    this.#parts.sessions.require(body.session, body.epoch);
    const work = (): Promise<void> => this.#truncate(body.session, body.epoch, body.position);
    if (this.#isDivided()) this.#inTurn(body.session, work);
    else this.#parts.queue.push(0, work);
  }

  release(id: bigint): void {
    const session = this.#parts.sessions.release(id);
    if (session === undefined) return;
    this.#parts.divided.dropUnwanted();
    const held = this.#parts.stage.held;
    this.#inTurn(id, async () => {
      if (held !== undefined && held === this.#parts.stage.held) {
        await this.#parts.executors.release(session.kv);
      }
    });
  }

  // KV moves in its turn; what fails is told of the session's epoch.
  moveKv(frame: FrameOf<"kv-export" | "kv-import" | "kv-copy">, bytes: number): void {
    const { session: id, epoch } = frame.body;
    const held = this.#parts.stage.held;
    const session = this.#parts.sessions.require(id, epoch);
    const source =
      frame.kind === "kv-copy" ? this.#parts.sessions.get(frame.body.source) : undefined;
    if (frame.kind === "kv-copy" && source === undefined) {
      throw new ShoalError("not_found", `session ${frame.body.source} is not open here`);
    }
    const work = async (): Promise<void> => {
      if (held === undefined || held !== this.#parts.stage.held) return;
      if (session.gone || session.epoch !== epoch) return;
      const { assign } = held;
      const executor = this.#parts.executors;
      try {
        if (frame.kind === "kv-import") {
          await importKv(this.#parts.core, executor, assign.kv, session, frame.body);
        } else if (frame.kind === "kv-copy") {
          await copyKv(executor, session, source!, frame.body.positions);
        } else {
          await exportKv(executor, assign.kv, session, frame.body, (body, to) =>
            this.#parts.outbox.send("kv-import", body, to),
          );
        }
      } catch (thrown) {
        if (session.gone || session.epoch !== epoch) return;
        const error = ShoalError.from(thrown);
        this.#parts.onProblem(error);
        this.#parts.outbox.sendError(error, { session: id, epoch });
      }
      this.#parts.onDone();
    };
    const size = frame.kind === "kv-import" ? bytes : 0;
    if (!this.#isDivided()) return this.#parts.queue.push(size, work);
    const of = source === undefined ? [id] : [id, source.id];
    this.#inGate(of, () => this.#queueTurn(size, work));
  }

  step(frame: FrameOf<"step">, bytes: number, arrivedMs: number): void {
    const held = this.#parts.stage.held;
    if (held === undefined || !holdsStage(held.assign)) {
      throw new ShoalError("failed_precondition", "no stage is held here; steps cannot be run");
    }
    const decodeMs = this.#parts.now() - arrivedMs;
    this.#runInTurn(frame.body, bytes, async () => {
      // A newer assignment has dropped every session of this one.
      if (held !== this.#parts.stage.held) return;
      const arrived = { step: frame.body, bytes, arrivedMs, decodeMs };
      try {
        this.#parts.onStep(await runStep(held, arrived));
      } catch (thrown) {
        if (held === this.#parts.stage.held) this.failStep(frame, ShoalError.from(thrown));
      }
      this.#parts.onDone();
    });
  }

  // The step as a whole failed: every session in it is told.
  failStep({ body }: FrameOf<"step">, error: ShoalError): void {
    this.#parts.onProblem(error);
    const epochs = new Map(body.rows.map((row) => [row.session, row.epoch]));
    for (const [session, epoch] of epochs) this.#parts.outbox.sendError(error, { session, epoch });
  }

  // Answers with an error when fewer positions are there than are to be kept.
  async #truncate(id: bigint, epoch: number, length: number): Promise<void> {
    const session = this.#parts.sessions.get(id);
    if (session === undefined || session.epoch !== epoch) return;
    if (length > session.length) {
      const error = new ShoalError(
        "out_of_range",
        `asked to keep ${length} positions, ${session.length} are held`,
      );
      this.#parts.outbox.sendError(error, { session: id, epoch });
      return;
    }
    await this.#parts.executors.rollback(session.kv, length);
    session.length = length;
  }

  // Queues work of one session, behind what else there is of it.
  #inTurn(session: bigint, work: () => Promise<void>): void {
    if (!this.#isDivided()) return this.#parts.queue.pushAlways(0, work);
    this.#gate.run([session], () => this.#queueTurn(0, work));
  }

  #queueTurn(bytes: number, work: () => Promise<void>): Promise<void> {
    return new Promise((resolve) => {
      this.#parts.queue.pushAlways(bytes, () => work().finally(resolve));
    });
  }

  // Whether a step of what is held takes several turns in the queue.
  #isDivided(): boolean {
    return (this.#parts.stage.held?.assign.parts.length ?? 0) > 0;
  }

  #runInTurn({ rows }: Step, bytes: number, work: () => Promise<void>): void {
    if (!this.#isDivided()) return this.#parts.queue.push(bytes, work);
    this.#inGate(
      rows.map(({ session }) => session),
      work,
    );
  }

  #inGate(sessions: bigint[], work: () => Promise<void>): void {
    if (this.#gated >= gatedMax) {
      throw new ShoalError("resource_exhausted", `${this.#gated} frames wait here`);
    }
    ++this.#gated;
    this.#gate.run(sessions, () => work().finally(() => --this.#gated));
  }
}
