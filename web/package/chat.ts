// <shoal-chat coordinator="https://shoal.example" system="Be brief." max-tokens="500">: a
// conversation with the swarm on any page. It keeps nothing; the page's styles do not reach into
// it, but these custom properties do: --accent, --surface, --ink and the others of chat.css.

import { el } from "../app/common/dom.ts";
import { icon } from "../app/common/icons.ts";
import { readSettings } from "../app/chat/settings.ts";
import { Thread } from "../app/chat/thread.ts";
import { newConversation } from "../app/chat/tree.ts";
import messageStyle from "../app/chat/message.css?inline";
import style from "./chat.css?inline";

export class ShoalChat extends HTMLElement {
  #thread: Thread | undefined;
  readonly #log = el("div", { class: "log", role: "log", "aria-live": "off", tabindex: 0 });
  readonly #announcer = el("div", { class: "visually-hidden", role: "status" });
  readonly #prompt = el("textarea", { rows: 1, dir: "auto", "aria-label": "Message" });
  readonly #send = el("button", { type: "submit", class: "round", "aria-label": "Send" });
  readonly #stop = el("button", { type: "button", class: "round", "aria-label": "Stop" });

  connectedCallback(): void {
    if (this.#thread !== undefined) return;
    const origin = new URL(this.getAttribute("coordinator") ?? "/", location.href).origin;
    const root = this.attachShadow({ mode: "open" });
    this.#send.append(icon("arrowUp"));
    this.#stop.append(icon("stop"));
    this.#stop.hidden = true;
    this.#prompt.placeholder = this.getAttribute("placeholder") ?? "Write a message";
    const form = el("form", { class: "composer" }, this.#prompt, this.#send, this.#stop);
    const note = "Volunteers\u2019 tabs compute the answer and could read along.";
    const privacy = el("p", { class: "privacy" }, note);
    root.append(el("style", {}, messageStyle + style), this.#log, form, privacy, this.#announcer);
    const settings = readSettings({
      system: this.getAttribute("system"),
      maxTokens: Number(this.getAttribute("max-tokens")),
    });
    this.#thread = new Thread(
      {
        log: this.#log,
        origin,
        onChange: () => {},
        onShow: () => this.#onShow(),
        onProgress: () => {},
        announce: (text) => (this.#announcer.textContent = text),
        tabs: () => 0,
      },
      newConversation(settings, Date.now()),
    );
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    this.#prompt.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.#submit();
    });
    this.#stop.addEventListener("click", () => this.#thread?.stop());
  }

  disconnectedCallback(): void {
    this.#thread?.stop();
  }

  // As if it had been written and sent.
  ask(text: string): void {
    if (text.trim() !== "") this.#thread?.ask(text.trim(), []);
  }

  #submit(): void {
    if (this.#thread?.isBusy === true) return;
    this.ask(this.#prompt.value);
    this.#prompt.value = "";
  }

  #onShow(): void {
    const isBusy = this.#thread?.isBusy === true;
    this.#send.hidden = isBusy;
    this.#stop.hidden = !isBusy;
  }
}

if (customElements.get("shoal-chat") === undefined) customElements.define("shoal-chat", ShoalChat);
