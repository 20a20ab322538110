// The list of conversations: choose, rename, export, delete.

import { byId, el } from "../common/dom.ts";
import { icon, type IconName } from "../common/icons.ts";
import type { Head } from "./store.ts";

export interface SidebarEvents {
  choose(id: string): void;
  rename(id: string, title: string): void;
  remove(id: string): void;
  exportOne(id: string, format: "json" | "md"): void;
}

const dayMs = 24 * 3600 * 1000;

export class Sidebar {
  readonly #events: SidebarEvents;
  readonly #list = byId("conversations", HTMLUListElement);
  readonly #search = byId("search", HTMLInputElement);
  #heads: Head[] = [];
  #current = "";
  #isAnswering: (id: string) => boolean = () => false;

  constructor(events: SidebarEvents) {
    this.#events = events;
    this.#search.addEventListener("input", () => this.#draw());
  }

  show(heads: Head[], current: string, isAnswering: (id: string) => boolean): void {
    this.#heads = heads;
    this.#current = current;
    this.#isAnswering = isAnswering;
    this.#draw();
  }

  #draw(): void {
    const wanted = this.#search.value.trim().toLocaleLowerCase();
    const found = this.#heads.filter(({ title }) => title.toLocaleLowerCase().includes(wanted));
    byId("search-box", HTMLElement).hidden = this.#heads.length < 8 && wanted === "";
    byId("no-conversations", HTMLElement).hidden = found.length > 0;
    const focused = this.#list.contains(document.activeElement)
      ? (document.activeElement as HTMLElement).dataset["focus"]
      : undefined;
    this.#list.replaceChildren(...found.map((head) => this.#item(head)));
    if (focused !== undefined) {
      this.#list.querySelector<HTMLElement>(`[data-focus="${CSS.escape(focused)}"]`)?.focus();
    }
  }

  #item(head: Head): HTMLElement {
    const { id, title, updatedMs } = head;
    const name = title === "" ? "New chat" : title;
    const busy = this.#isAnswering(id);
    const open = el(
      "button",
      {
        type: "button",
        class: "conversation",
        "aria-current": id === this.#current ? "true" : undefined,
        "data-focus": `open-${id}`,
        "data-testid": "conversation",
      },
      el("span", { class: "title", dir: "auto" }, name),
      el("span", { class: "when" }, busy ? "answering\u2026" : describeTime(updatedMs)),
    );
    open.addEventListener("click", () => this.#events.choose(id));
    return el("li", {}, open, this.#menu(head, name));
  }

  #menu(head: Head, name: string): HTMLElement {
    const { id } = head;
    const summary = el(
      "summary",
      { class: "icon", "aria-label": `More for ${name}`, "data-focus": `menu-${id}` },
      icon("more"),
    );
    const menu = el("details", { class: "menu", name: "conversation-menu" }, summary);
    const action = (drawing: IconName, text: string, run: () => void): HTMLElement => {
      const button = el("button", { type: "button" }, icon(drawing), text);
      button.addEventListener("click", () => {
        menu.open = false;
        summary.focus();
        run();
      });
      return button;
    };
    menu.append(
      el(
        "div",
        { class: "menu-items" },
        action("edit", "Rename", () => this.#rename(head, menu)),
        action("download", "Export as Markdown", () => this.#events.exportOne(id, "md")),
        action("download", "Export as JSON", () => this.#events.exportOne(id, "json")),
        action("trash", "Delete", () => this.#events.remove(id)),
      ),
    );
    menu.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || !menu.open) return;
      event.stopPropagation();
      menu.open = false;
      summary.focus();
    });
    return menu;
  }

  #rename({ id, title }: Head, menu: HTMLElement): void {
    const input = el("input", { type: "text", "aria-label": "Title", maxlength: 200, dir: "auto" });
    input.value = title;
    const form = el("form", { class: "rename" }, input);
    let over = false;
    const finish = (keep: boolean): void => {
      if (over) return;
      over = true;
      const text = input.value.trim();
      if (keep && text !== "" && text !== title) this.#events.rename(id, text);
      else this.#draw();
    };
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      finish(true);
    });
    input.addEventListener("blur", () => finish(true));
    input.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      event.stopPropagation();
      finish(false);
    });
    menu.parentElement?.replaceChildren(form);
    input.select();
  }
}

// "14:05" today, "Mon" this week, a date before.
function describeTime(ms: number): string {
  const time = new Date(ms);
  const agoMs = Date.now() - ms;
  if (agoMs < dayMs && time.getDate() === new Date().getDate()) {
    return time.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  }
  if (agoMs < 6 * dayMs) return time.toLocaleDateString([], { weekday: "short" });
  return time.toLocaleDateString([], { day: "numeric", month: "short" });
}
