// While an answer comes: the picture of the swarm, below what has come so far, with a token on its
// way for each piece that came.

import { el, plural, setText } from "../common/dom.ts";
import { SwarmPicture } from "../common/picture.ts";
import type { Status } from "../common/status.ts";

const lanes = { lanesMax: 5, heightMaxPx: 96 };
// Until the first token comes, the prompt is drawn on its way again and again.
const readingEveryMs = 900;
// Route steps beyond this are counted instead of named.
const namesMax = 5;

export class AnswerPicture {
  readonly element = el("div", { class: "answer-picture", "data-testid": "answer-picture" });
  readonly #picture: SwarmPicture;
  readonly #text = el("p", { class: "answer-picture-text" });
  #status: Status | undefined;
  #pieces = 0;
  // When it was first looked at, and how many had come by then.
  #since = { ms: 0, pieces: 0 };
  #reading: ReturnType<typeof setInterval> | undefined;

  constructor() {
    const body = el("div", { class: "answer-picture-body" });
    this.element.append(body, this.#text);
    this.#picture = new SwarmPicture(body, lanes);
  }

  show(status: Status | undefined): void {
    this.#status = status;
    this.#picture.show(status);
    this.#showText();
  }

  // How many pieces of the answer on show have come; undefined when none is under way.
  set progress(pieces: number | undefined) {
    if (pieces === undefined || pieces > 0) {
      clearInterval(this.#reading);
      this.#reading = undefined;
    }
    if (pieces === undefined) {
      this.#pieces = 0;
      return;
    }
    if (pieces === 0) {
      this.#reading ??= setInterval(() => this.#picture.pulse(true), readingEveryMs);
    } else if (pieces !== this.#pieces) {
      if (this.#pieces === 0) this.#since = { ms: performance.now(), pieces };
      this.#picture.pulse();
    }
    this.#pieces = pieces;
    this.#showText();
  }

  #showText(): void {
    const parts = [this.#speed(), this.#way()].filter((part) => part !== "");
    setText(this.#text, parts.join(" \u00b7 "));
  }

  #speed(): string {
    if (this.#pieces === 0) return "Reading your message\u2026";
    const seconds = (performance.now() - this.#since.ms) / 1000;
    const seen = this.#pieces - this.#since.pieces;
    // Of too few tokens or too short a time, a speed says nothing.
    if (seen < 3 || seconds < 0.5) return plural(this.#pieces, "token");
    const perSecond = (seen / seconds).toFixed(1);
    return `${plural(this.#pieces, "token")} \u00b7 ${perSecond} tokens/s`;
  }

  // Which volunteers a token passes through; or that there is no way now.
  #way(): string {
    if (this.#status?.ready === false) return "the swarm rearranges itself; it goes on after that";
    const stages = this.#status?.routes[0]?.stages ?? this.#status?.route ?? [];
    if (stages.length === 0) return "";
    if (stages.length > namesMax) return `through ${plural(stages.length, "volunteer")}`;
    return `through ${stages.map(({ id }) => `#${id}`).join(" \u2192 ")}`;
  }
}
