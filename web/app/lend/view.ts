// What the lend page shows of its volunteer.

import type { PauseReason } from "../../volunteer/limits.ts";
import type { VolunteerEvent, VolunteerState } from "../../volunteer/volunteer.ts";
import { byId, el, setText } from "../common/dom.ts";
import { formatCount, formatSize } from "../common/size.ts";
import { describeBlocks, type VolunteerStatus } from "../common/status.ts";
import type { Advice } from "./advice.ts";
import type { LenderState } from "./lender.ts";
import { ProgressView } from "./progress.ts";
import { showChoice } from "./tried.ts";

const words: Record<VolunteerState, string> = {
  connecting: "connecting",
  waiting: "standing by",
  loading: "loading",
  ready: "lending",
  reconnecting: "connection lost",
  refused: "refused",
  stopped: "not lending",
};

const waitWords: Record<PauseReason, string> = {
  hidden: "Rests while the tab is hidden; goes on when you look at it.",
  battery: "Rests while the machine runs on its battery.",
  metered: "Rests while the network is metered.",
  hours: "Rests until the hours that you chose.",
  data: "The data for today is used up; goes on tomorrow, or with a higher limit.",
};

export class LendView {
  readonly #state = byId("state", HTMLElement);
  readonly #progress = new ProgressView();
  readonly #holds = byId("holds", HTMLElement);
  readonly #problem = byId("problem", HTMLElement);
  #held: [number, number] = [0, 0];
  #blocks = 0;

  // Of the whole model, once known: names the held ones better.
  set blocks(blocks: number) {
    if (blocks === this.#blocks) return;
    this.#blocks = blocks;
    this.#showHeld();
  }

  // What the coordinator says of this tab, and whether blocks have no place yet.
  showOwn(own: VolunteerStatus, isMissing: boolean): void {
    setText(byId("credited", HTMLElement), formatCount(own.blockRowsDone));
    const isStandingBy = own.state === "spare" && this.#state.dataset["state"] === "waiting";
    if (!isStandingBy || this.#state.dataset["lender"] !== "lending") return;
    const why =
      isMissing
        ? "What you lend does not suffice for what is missing: leave, and lend more memory."
        : "Every piece is held already; yours is one that steps in when somebody leaves.";
    setText(byId("detail", HTMLElement), why);
  }

  // How many layers this tab holds; embedding and head are none.
  get layers(): number {
    const [first, last] = this.#held;
    return Math.max(0, Math.min(last, this.#blocks - 1) - Math.max(first, 1));
  }

  reset(): void {
    this.#problem.hidden = true;
    this.#progress.hide();
    byId("status-card", HTMLElement).hidden = false;
  }

  get hasProblem(): boolean {
    return !this.#problem.hidden;
  }

  problem(detail: string, advice?: Advice, onLess?: () => void): void {
    const parts: Node[] = [el("p", { class: "problem-detail" }, detail)];
    if (advice !== undefined) parts.unshift(el("p", {}, advice.text));
    if (advice?.lessBytes !== undefined && onLess !== undefined) {
      const text = `Lend ${formatSize(advice.lessBytes)} instead`;
      const button = el("button", { type: "button", "data-testid": "lend-less" }, text);
      button.addEventListener("click", onLess);
      parts.push(button);
    }
    this.#problem.replaceChildren(...parts);
    this.#problem.hidden = false;
  }

  // By owner and limits; the volunteer's own states are shown while it lends.
  showLender(state: LenderState): void {
    this.#state.dataset["lender"] = state.kind;
    const isIdle = state.kind === "paused" || state.kind === "waiting";
    if (isIdle) {
      setText(this.#state, state.kind === "paused" ? "paused" : "resting");
      const why =
        state.kind === "waiting"
          ? waitWords[state.why]
          : "What was fetched stays here; others hold your blocks meanwhile.";
      setText(byId("detail", HTMLElement), why);
      this.#progress.hide();
    }
    // Until the volunteer says something of itself.
    if (state.kind === "lending") setText(this.#state, "measuring this browser");
    const isOff = state.kind === "off";
    if (!isOff) byId("status-card", HTMLElement).hidden = false;
    byId("start", HTMLElement).hidden = !isOff;
    byId("pause", HTMLElement).hidden = state.kind !== "lending" && state.kind !== "waiting";
    byId("resume", HTMLElement).hidden = state.kind !== "paused";
    byId("stop", HTMLElement).hidden = isOff;
    byId("consent-row", HTMLElement).hidden = !isOff;
    byId("words", HTMLDetailsElement).open = isOff;
  }

  show(event: VolunteerEvent): void {
    switch (event.kind) {
      case "executor":
        return showChoice(event);
      case "state":
        return this.#showState(event);
      case "progress":
        return this.#progress.show(event);
      case "holding":
        this.#held = [event.first, event.last];
        this.#holds.dataset["blocks"] = event.first < event.last ? this.#held.join(",") : "";
        setText(byId("weights", HTMLElement), formatSize(event.weightBytes));
        return this.#showHeld();
      case "counters":
        return this.#showCounters(event.counters);
      default:
        return;
    }
  }

  showTally(tokenLayers: number, dataBytesToday: number): void {
    setText(byId("done", HTMLElement), formatCount(tokenLayers));
    setText(byId("data-today", HTMLElement), formatSize(dataBytesToday));
  }

  #showState({ state, node, detail }: VolunteerEvent & { kind: "state" }): void {
    this.#state.dataset["state"] = state;
    this.#state.dataset["node"] = String(node);
    if (state !== "loading") this.#progress.hide();
    // The lender says why it has stopped.
    const kind = this.#state.dataset["lender"];
    if (kind === "paused" || kind === "waiting") return;
    setText(this.#state, words[state]);
    // A problem is told below, with what to do about it.
    const isTold = this.#problem.textContent.includes(detail);
    const text = this.#describe(state, isTold ? "" : detail);
    setText(byId("detail", HTMLElement), text);
    if (state === "ready") this.#problem.hidden = true;
  }

  #describe(state: VolunteerState, detail: string): string {
    if (state === "stopped") return "Others take over what you held. Thank you.";
    if (state !== "reconnecting") return detail;
    return navigator.onLine
      ? `The coordinator cannot be reached: ${detail}. It goes on by itself.`
      : "You are offline. It goes on by itself when you are back.";
  }

  #showHeld(): void {
    const [first, last] = this.#held;
    if (first === last) setText(this.#holds, "nothing yet");
    else if (this.#blocks > 0) setText(this.#holds, describeBlocks(this.#held, this.#blocks));
    else setText(this.#holds, `blocks ${first}\u2013${last - 1}`);
  }

  #showCounters(counters: (VolunteerEvent & { kind: "counters" })["counters"]): void {
    const { steps, rows, computeMs, sessions } = counters;
    setText(byId("sessions", HTMLElement), formatCount(sessions));
    setText(byId("rows", HTMLElement), formatCount(rows));
    this.#state.dataset["computeMs"] = String(computeMs);
    const stepMs = steps === 0 ? "\u2013" : `${(computeMs / steps).toFixed(1)} ms`;
    setText(byId("step-ms", HTMLElement), stepMs);
  }
}
