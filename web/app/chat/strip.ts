// The swarm in one line: the stages that a token passes, in order, and how it is.

import { byId, el, plural, setText } from "../common/dom.ts";
import { hueOf } from "../common/hue.ts";
import { describeBlocks, stagesOf, type Status } from "../common/status.ts";

export class SwarmStrip {
  readonly #root = byId("strip", HTMLElement);
  readonly #track = el("div", { class: "strip-track", "aria-hidden": "true" });
  readonly #text = el("span", { class: "strip-text", "data-testid": "strip-text" });
  #drawn = "";

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
}

function summarise(status: Status): string {
  const parts = [plural(status.volunteers.length, "volunteer")];
  if (!status.ready) parts.push("not ready");
  else if (status.tokensPerSecond > 0) parts.push(`${status.tokensPerSecond.toFixed(1)} tokens/s`);
  return parts.map((part) => part.replaceAll(" ", "\u00a0")).join(" \u00b7 ");
}
