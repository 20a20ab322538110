// The swarm in one line: the stages that a token passes, in order, and a pulse for each token that
// came. The pulse shows that and where tokens travel; how long each stage took it does not know.

import { byId, el, plural, setText } from "../common/dom.ts";
import { hueOf } from "../common/hue.ts";
import { describeBlocks, stagesOf, type Status } from "../common/status.ts";

const pulseMsMax = 900;
const pulseMsMin = 180;
const pulsesMax = 6;

export class SwarmStrip {
  readonly #root = byId("strip", HTMLElement);
  readonly #track = el("div", { class: "strip-track", "aria-hidden": "true" });
  readonly #text = el("span", { class: "strip-text", "data-testid": "strip-text" });
  readonly #stillness = matchMedia("(prefers-reduced-motion: reduce)");
  #drawn = "";
  #lastMs = 0;
  #pulses = 0;

  constructor() {
    this.#root.replaceChildren(this.#track, this.#text);
  }

  show(status: Status | undefined): void {
    this.#root.dataset["state"] =
      status === undefined ? "offline" : status.ready ? "ready" : "missing";
    setText(this.#text, status === undefined ? "offline" : summarise(status));
    const stages = status === undefined ? [] : stagesOf(status);
    const key = JSON.stringify(stages);
    if (key === this.#drawn || status === undefined) return;
    this.#drawn = key;
    this.#track.replaceChildren(
      ...stages.map(({ blocks, id }, index) => {
        const name = describeBlocks(blocks, status.blocks);
        return el("span", {
          class: id === 0 ? "strip-stage missing" : "strip-stage",
          style: `--span: ${blocks[1] - blocks[0]}; --hue: ${hueOf(index)}`,
          title: id === 0 ? `${name}: nobody` : `${name}: volunteer ${id}`,
        });
      }),
    );
  }

  // A token has come; it went through every stage.
  pulse(): void {
    const nowMs = performance.now();
    const sinceMs = nowMs - this.#lastMs;
    this.#lastMs = nowMs;
    if (this.#stillness.matches || document.hidden || this.#pulses >= pulsesMax) return;
    const dot = el("span", { class: "strip-pulse" });
    this.#track.append(dot);
    ++this.#pulses;
    const duration = Math.min(pulseMsMax, Math.max(pulseMsMin, sinceMs));
    const frames = { insetInlineStart: ["0%", "100%"], opacity: [0, 1, 1, 0] };
    const animation = dot.animate(frames, { duration, easing: "linear" });
    animation.onfinish = animation.oncancel = () => {
      --this.#pulses;
      dot.remove();
    };
  }
}

function summarise(status: Status): string {
  const parts = [plural(status.volunteers.length, "volunteer")];
  if (!status.ready) parts.push("not ready");
  else if (status.tokensPerSecond > 0) parts.push(`${status.tokensPerSecond.toFixed(1)} tokens/s`);
  return parts.map((part) => part.replaceAll(" ", "\u00a0")).join(" \u00b7 ");
}
