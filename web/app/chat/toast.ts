// A short word at the edge of the page, read out too, with at most one thing to do about it.

import { byId, el } from "../common/dom.ts";

const shownMs = 8000;

export class Toast {
  readonly #root = byId("toast", HTMLElement);
  #timer: ReturnType<typeof setTimeout> | undefined;

  show(text: string, action?: string, run?: () => void): void {
    clearTimeout(this.#timer);
    const parts: Node[] = [el("span", {}, text)];
    if (action !== undefined) {
      const button = el("button", { type: "button", "data-testid": "toast-action" }, action);
      button.addEventListener("click", () => {
        this.#root.replaceChildren();
        run?.();
      });
      parts.push(button);
    }
    this.#root.replaceChildren(el("div", { class: "toast-box" }, ...parts));
    this.#timer = setTimeout(() => this.#root.replaceChildren(), shownMs);
  }
}
