// Starts and stops the volunteer of this page as its owner and the limits want it. Knows no page:
// what starts a volunteer and what the surroundings are is handed in.

import {
  pauseFor,
  type Limits,
  type PauseReason,
  type Surroundings,
} from "../../volunteer/limits.ts";

export type LenderState =
  | { kind: "off" }
  | { kind: "lending" }
  // By its owner.
  | { kind: "paused" }
  // By a limit; goes on by itself.
  | { kind: "waiting"; why: PauseReason };

// A volunteer that has been started.
export interface Lendable {
  stop(): void;
  limit(timeShare: number, dataBytesLeft: number): void;
}

export interface LenderParts {
  // `onEnded` is called once: when the volunteer has ended, and whether it was refused.
  start(onEnded: (refused: boolean) => void): Lendable;
  surroundings(): Surroundings;
  onState(state: LenderState): void;
}

export class Lender {
  readonly #parts: LenderParts;
  #limits: Limits;
  #isWanted = false;
  #isPaused = false;
  #volunteer: Lendable | undefined;
  #isStopping = false;
  #told = "";
  #dataBytesSeen = 0;

  constructor(parts: LenderParts, limits: Limits) {
    this.#parts = parts;
    this.#limits = limits;
  }

  get isWanted(): boolean {
    return this.#isWanted;
  }

  get limits(): Limits {
    return this.#limits;
  }

  start(): void {
    this.#isWanted = true;
    this.#isPaused = false;
    this.update();
  }

  pause(): void {
    this.#isPaused = true;
    this.update();
  }

  resume(): void {
    this.#isPaused = false;
    this.update();
  }

  leave(): void {
    this.#isWanted = false;
    this.update();
  }

  setLimits(limits: Limits): void {
    this.#limits = limits;
    this.#limitVolunteer();
    this.update();
  }

  // To be called when the surroundings may have changed, and now and then.
  update(): void {
    const { dataBytesToday } = this.#parts.surroundings();
    // A new day has begun: what runs gets its data.
    if (dataBytesToday < this.#dataBytesSeen) this.#limitVolunteer();
    this.#dataBytesSeen = dataBytesToday;
    const state = this.#state();
    const mayRun = state.kind === "lending";
    if (mayRun && this.#volunteer === undefined) {
      this.#isStopping = false;
      const volunteer = this.#parts.start((refused) => this.#onEnded(volunteer, refused));
      this.#volunteer = volunteer;
    } else if (!mayRun && this.#volunteer !== undefined && !this.#isStopping) {
      this.#isStopping = true;
      this.#volunteer.stop();
    }
    const told = JSON.stringify(state);
    if (told === this.#told) return;
    this.#told = told;
    this.#parts.onState(state);
  }

  #limitVolunteer(): void {
    const left = this.#limits.dataBytesPerDay - this.#parts.surroundings().dataBytesToday;
    this.#volunteer?.limit(this.#limits.timeShare, Math.max(0, left));
  }

  #state(): LenderState {
    if (!this.#isWanted) return { kind: "off" };
    if (this.#isPaused) return { kind: "paused" };
    const why = pauseFor(this.#limits, this.#parts.surroundings());
    return why === undefined ? { kind: "lending" } : { kind: "waiting", why };
  }

  #onEnded(volunteer: Lendable, refused: boolean): void {
    if (volunteer !== this.#volunteer) return;
    this.#volunteer = undefined;
    if (refused) this.#isWanted = false;
    this.update();
  }
}
