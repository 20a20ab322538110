// One turn on the page, with what can be done with it.

import { byTag, el, setText } from "../common/dom.ts";
import { icon, type IconName } from "../common/icons.ts";
import { formatSize } from "../common/size.ts";
import type { ChatError } from "./api.ts";
import { copyButton } from "./copy.ts";
import { describeAnswer } from "./facts.ts";
import type { MarkdownView } from "./markdown/render.ts";
import type { Attachment, Turn } from "./tree.ts";

export interface MessageActions {
  // Where a tab can be lent.
  readonly lendUrl: string;
  regenerate(turn: number): void;
  edit(turn: number, text: string): void;
  choose(turn: number): void;
  retry(turn: number): void;
}

export interface MessagePlace {
  index: number;
  turn: Turn;
  // Turns with the same parent, itself among them.
  siblings: number[];
}

// Loaded once, when an answer is first shown.
let markdown: Promise<typeof import("./markdown/render.ts")> | undefined;
export function loadMarkdown(): Promise<typeof import("./markdown/render.ts")> {
  return (markdown ??= import("./markdown/render.ts"));
}

export class MessageView {
  readonly element: HTMLElement;
  readonly #place: MessagePlace;
  readonly #actions: MessageActions;
  readonly #text: HTMLElement;
  readonly #foot = el("div", { class: "foot" });
  #markdown: MarkdownView | undefined;
  #drawing = false;

  constructor(place: MessagePlace, isAnswering: boolean, actions: MessageActions) {
    this.#place = place;
    this.#actions = actions;
    const { role, attachments = [] } = place.turn;
    this.#text = el("div", { class: "text", dir: "auto", "data-testid": "message-text" });
    this.element = el(
      "article",
      { class: `message ${role}`, "data-testid": `message-${role}`, "data-turn": place.index },
      el("h3", { class: "visually-hidden" }, role === "user" ? "You" : "Shoal"),
    );
    if (attachments.length > 0) this.element.append(attachmentList(attachments));
    this.element.append(this.#text, this.#foot);
    if (role === "user") this.#text.textContent = place.turn.text;
    if (isAnswering) this.element.setAttribute("aria-busy", "true");
    else this.#showFoot();
    if (role === "assistant") {
      this.#text.textContent = place.turn.text;
      void this.#useMarkdown();
    }
  }

  // The text has grown; drawn once a frame.
  grow(): void {
    if (this.#drawing) return;
    this.#drawing = true;
    requestAnimationFrame(() => {
      this.#drawing = false;
      this.#draw();
    });
  }

  // The answer has ended.
  end(error: ChatError | undefined): void {
    this.element.removeAttribute("aria-busy");
    this.#draw();
    if (error === undefined || this.#place.turn.text !== "") this.#showFoot();
    if (error !== undefined) this.#showError(error);
  }

  setIdle(isIdle: boolean): void {
    this.#foot.inert = !isIdle;
  }

  get #isAnswering(): boolean {
    return this.element.hasAttribute("aria-busy");
  }

  async #useMarkdown(): Promise<void> {
    const { MarkdownView } = await loadMarkdown();
    this.#markdown = new MarkdownView(this.#text);
    this.#text.classList.add("prose");
    this.#draw();
  }

  #draw(): void {
    const { text } = this.#place.turn;
    if (this.#markdown !== undefined) this.#markdown.show(text, !this.#isAnswering);
    else setText(this.#text, text);
  }

  #showFoot(): void {
    const { turn, index, siblings } = this.#place;
    const parts: Node[] = [];
    if (siblings.length > 1) parts.push(this.#switcher());
    if (turn.role === "user") {
      parts.push(this.#button("edit", "Edit message", () => this.#edit()));
      parts.push(copyButton("Copy message", () => turn.text));
    } else {
      if (turn.text !== "") parts.push(copyButton("Copy answer", () => turn.text));
      const again = this.#button("redo", "Answer again", () => this.#actions.regenerate(index));
      again.dataset["testid"] = "message-regenerate";
      parts.push(again);
      const facts = describeAnswer(turn.facts, turn.ending);
      const attributes = { class: "facts", "data-testid": "message-facts" };
      parts.push(el("p", attributes, facts));
    }
    this.#foot.replaceChildren(...parts);
  }

  #switcher(): HTMLElement {
    const { index, siblings } = this.#place;
    const at = siblings.indexOf(index);
    const step = (name: IconName, label: string, to: number): HTMLButtonElement => {
      const target = siblings[to];
      const button = this.#button(name, label, () => this.#actions.choose(target!));
      button.disabled = target === undefined;
      return button;
    };
    const label = `${at + 1}/${siblings.length}`;
    const spoken = `Version ${at + 1} of ${siblings.length}`;
    return el(
      "div",
      { class: "switcher", role: "group", "aria-label": spoken, "data-testid": "message-versions" },
      step("chevronLeft", "Previous version", at - 1),
      el("span", { "aria-hidden": "true" }, label),
      step("chevronRight", "Next version", at + 1),
    );
  }

  #button(name: IconName, label: string, onClick: () => void): HTMLButtonElement {
    const attributes = { type: "button", class: "icon", "aria-label": label, title: label };
    const button = el("button", attributes, icon(name));
    button.addEventListener("click", onClick);
    return button;
  }

  #edit(): void {
    const { index, turn } = this.#place;
    const area = el("textarea", { "aria-label": "Message", dir: "auto", rows: 3 });
    area.value = turn.text;
    const cancel = el("button", { type: "button" }, "Cancel");
    const send = el("button", { type: "submit", class: "primary" }, "Send");
    const form = el("form", { class: "edit", "data-testid": "message-edit" }, area);
    form.append(el("div", { class: "edit-buttons" }, cancel, send));
    const close = (): void => {
      form.replaceWith(this.#text);
      this.#foot.hidden = false;
      byTag(this.#foot, "button")?.focus();
    };
    cancel.addEventListener("click", close);
    form.addEventListener("keydown", (event) => {
      if (event.key === "Escape") {
        event.stopPropagation();
        close();
      } else if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
        event.preventDefault();
        form.requestSubmit();
      }
    });
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const text = area.value.trim();
      if (text !== "" || (turn.attachments ?? []).length > 0) this.#actions.edit(index, text);
    });
    this.#text.replaceWith(form);
    this.#foot.hidden = true;
    area.style.height = `${Math.min(400, area.scrollHeight + 4)}px`;
    area.focus();
  }

  edit(): void {
    if (!this.#foot.hidden) this.#edit();
  }

  #showError(error: ChatError): void {
    const { index, turn } = this.#place;
    const parts: (Node | string)[] = [el("p", {}, error.message)];
    if (error.status === 503) {
      const to = { href: this.#actions.lendUrl, target: "_blank", rel: "noopener" };
      parts.push(el("a", to, "Lend this tab"));
    }
    const again = el("button", { type: "button", "data-testid": "chat-retry" }, "Try again");
    again.addEventListener("click", () => this.#actions.retry(index));
    parts.push(again);
    this.element.classList.add("failed");
    if (turn.text === "") this.#text.hidden = true;
    const attributes = { class: "error", role: "alert", "data-testid": "chat-error" };
    this.element.append(el("div", attributes, ...parts));
  }
}

export function attachmentList(attachments: Attachment[]): HTMLElement {
  return el(
    "ul",
    { class: "attachments", "aria-label": "Attached files" },
    ...attachments.map(({ name, text }) =>
      el(
        "li",
        {},
        el(
          "details",
          {},
          el("summary", {}, el("bdi", {}, name), ` ${formatSize(text.length)}`),
          el("pre", { tabindex: 0, dir: "auto" }, text),
        ),
      ),
    ),
  );
}
