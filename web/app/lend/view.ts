// What the lend page shows of its volunteer.

import type { VolunteerEvent, VolunteerState } from "../../volunteer/volunteer.ts";
import { byId, el, setText } from "../common/dom.ts";
import { formatCount, formatSize } from "../common/size.ts";
import { describeBlocks } from "../common/status.ts";

const words: Record<VolunteerState, string> = {
  connecting: "connecting",
  waiting: "waiting for work",
  loading: "loading",
  ready: "lending",
  reconnecting: "connection lost",
  refused: "refused",
  stopped: "not lending",
};

export class LendView {
  readonly #state = byId("state", HTMLElement);
  readonly #progress = byId("progress", HTMLElement);
  readonly #holds = byId("holds", HTMLElement);
  readonly #problem = byId("problem", HTMLElement);
  #held: [number, number] = [0, 0];
  #blocks = 0;

  // Of the whole model, once known: names the held ones better.
  set blocks(blocks: number) {
    this.#blocks = blocks;
    this.#showHeld();
  }

  reset(): void {
    this.#problem.hidden = true;
    this.#progress.hidden = true;
    byId("facts", HTMLElement).hidden = false;
  }

  problem(detail: string): void {
    setText(this.#problem, detail);
    this.#problem.hidden = false;
  }

  show(event: VolunteerEvent): void {
    switch (event.kind) {
      case "state":
        this.#state.dataset["state"] = event.state;
        this.#state.dataset["node"] = String(event.node);
        setText(this.#state, words[event.state]);
        setText(byId("detail", HTMLElement), event.detail);
        if (event.state === "refused") this.problem(event.detail);
        if (event.state === "ready") this.#problem.hidden = true;
        if (event.state !== "loading") this.#progress.hidden = true;
        return;
      case "progress":
        this.#showProgress(event);
        return;
      case "holding":
        this.#held = [event.first, event.last];
        this.#holds.dataset["blocks"] = event.first < event.last ? this.#held.join(",") : "";
        setText(byId("weights", HTMLElement), formatSize(event.weightBytes));
        this.#showHeld();
        return;
      case "counters":
        this.#showCounters(event.counters);
        return;
      case "problem":
        this.problem(event.detail);
        return;
    }
  }

  #showHeld(): void {
    const [first, last] = this.#held;
    if (first === last) setText(this.#holds, "nothing yet");
    else if (this.#blocks > 0) setText(this.#holds, describeBlocks(this.#held, this.#blocks));
    else setText(this.#holds, `blocks ${first}\u2013${last - 1}`);
  }

  #showProgress(event: VolunteerEvent & { kind: "progress" }): void {
    this.#progress.hidden = false;
    byId("bar", HTMLProgressElement).value = event.bytesDone / Math.max(1, event.bytesTotal);
    const text =
      event.bytesDone === event.bytesTotal
        ? "Preparing to run\u2026"
        : `${formatSize(event.bytesDone)} of ${formatSize(event.bytesTotal)}`;
    setText(byId("progress-text", HTMLElement), text);
    byId("files", HTMLElement).replaceChildren(
      ...event.files.map(({ location, bytes, done }) => {
        const name = location.slice(0, 12);
        return el(
          "li",
          {},
          el("code", {}, name),
          el("progress", { max: bytes, value: done, "aria-label": `File ${name}` }),
          el("span", {}, formatSize(bytes)),
        );
      }),
    );
  }

  #showCounters(counters: (VolunteerEvent & { kind: "counters" })["counters"]): void {
    const { steps, rows, bytesIn, bytesOut, computeMs, sessions } = counters;
    setText(byId("sessions", HTMLElement), formatCount(sessions));
    setText(byId("rows", HTMLElement), formatCount(rows));
    const stepMs = steps === 0 ? "\u2013" : `${(computeMs / steps).toFixed(1)} ms`;
    setText(byId("step-ms", HTMLElement), stepMs);
    setText(byId("traffic", HTMLElement), `${formatSize(bytesIn)} / ${formatSize(bytesOut)}`);
  }
}
