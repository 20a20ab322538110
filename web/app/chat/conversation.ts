// The messages of one conversation, in memory and on the page.

import { el, plural, setText } from "../common/dom.ts";
import { chat, ChatError, type ChatEvent, type ChatOptions, type Message } from "./api.ts";

export interface ConversationOptions {
  options(): ChatOptions;
  onBusy(busy: boolean): void;
}

// Why an answer ended, in words; nothing for the usual end.
const endings: Record<string, string> = { length: "stopped at the longest length" };

export class Conversation {
  readonly #log: HTMLElement;
  readonly #options: ConversationOptions;
  #messages: Message[] = [];
  #abort: AbortController | undefined;
  // How many tabs hold a piece now; for the line below an answer.
  volunteers = 0;

  constructor(log: HTMLElement, options: ConversationOptions) {
    this.#log = log;
    this.#options = options;
  }

  get isBusy(): boolean {
    return this.#abort !== undefined;
  }

  get isEmpty(): boolean {
    return this.#messages.length === 0;
  }

  stop(): void {
    this.#abort?.abort();
  }

  clear(): void {
    this.stop();
    this.#messages = [];
    for (const article of this.#log.querySelectorAll("article")) article.remove();
  }

  async ask(text: string): Promise<void> {
    if (this.isBusy) return;
    this.#messages.push({ role: "user", content: text });
    this.#log.append(this.#article("user", "You", text));
    await this.#answer();
  }

  // Answers the last message of the user.
  async #answer(): Promise<void> {
    const abort = new AbortController();
    const messages = this.#messages;
    this.#abort = abort;
    this.#options.onBusy(true);
    const article = this.#article("assistant", "Shoal", "");
    article.setAttribute("aria-busy", "true");
    this.#log.append(article);
    this.#follow(true);
    const reply = new Reply(article);
    try {
      for await (const event of chat([...messages], this.#options.options(), abort.signal)) {
        const atEnd = this.#isAtEnd();
        reply.on(event);
        this.#follow(atEnd);
      }
      reply.finish(abort.signal.aborted ? "stopped" : undefined, this.volunteers);
    } catch (thrown) {
      const error = thrown instanceof ChatError ? thrown : new ChatError(0, String(thrown));
      this.#showError(article, reply, error);
    }
    if (reply.text !== "") messages.push({ role: "assistant", content: reply.text });
    article.removeAttribute("aria-busy");
    this.#follow(true);
    if (this.#abort === abort) this.#abort = undefined;
    this.#options.onBusy(this.isBusy);
  }

  #article(role: "user" | "assistant", name: string, text: string): HTMLElement {
    return el(
      "article",
      { class: `message ${role}`, "data-testid": `message-${role}` },
      el("h3", { class: "visually-hidden" }, name),
      el("p", { class: "text", "data-testid": "message-text" }, text),
    );
  }

  #showError(article: HTMLElement, reply: Reply, error: ChatError): void {
    const again = el("button", { type: "button", "data-testid": "chat-retry" }, "Try again");
    const parts: (Node | string)[] = [el("p", {}, error.message)];
    if (error.status === 503) {
      parts.push(el("a", { href: "/lend", target: "_blank", rel: "noopener" }, "Lend this tab"));
    }
    // What has been said is part of the conversation: only an answer that never began is repeated.
    if (reply.text === "") parts.push(again);
    article.classList.add("failed");
    const attributes = { class: "error", role: "alert", "data-testid": "chat-error" };
    article.append(el("div", attributes, ...parts));
    again.addEventListener("click", () => {
      if (this.isBusy) return;
      article.remove();
      void this.#answer();
    });
  }

  #isAtEnd(): boolean {
    return this.#log.scrollHeight - this.#log.scrollTop - this.#log.clientHeight < 80;
  }

  // Keeps the end in view, unless the reader has scrolled away from it.
  #follow(atEnd: boolean): void {
    if (atEnd) this.#log.scrollTop = this.#log.scrollHeight;
  }
}

// One answer as it grows.
class Reply {
  readonly #article: HTMLElement;
  readonly #body: Element;
  readonly #startedMs = performance.now();
  #firstMs: number | undefined;
  #pieces = 0;
  #tokens: number | undefined;
  #ending = "";
  text = "";

  constructor(article: HTMLElement) {
    this.#article = article;
    this.#body = article.querySelector(".text")!;
  }

  on(event: ChatEvent): void {
    switch (event.kind) {
      case "text":
        this.#firstMs ??= performance.now();
        this.text += event.text;
        ++this.#pieces;
        this.#body.append(event.text);
        return;
      case "finish":
        this.#ending = endings[event.reason] ?? "";
        return;
      case "usage":
        this.#tokens = event.completionTokens;
        return;
    }
  }

  finish(ending: string | undefined, volunteers: number): void {
    const tokens = this.#tokens ?? this.#pieces;
    const facts = tokens > 0 ? [plural(tokens, "token")] : [];
    const seconds = (performance.now() - (this.#firstMs ?? this.#startedMs)) / 1000;
    if (tokens > 1 && seconds > 0) facts.push(`${((tokens - 1) / seconds).toFixed(1)} tokens/s`);
    if (volunteers > 0) facts.push(`through ${plural(volunteers, "tab")}`);
    const how = ending ?? this.#ending;
    if (how !== "") facts.push(how);
    const line = el("p", { class: "facts", "data-testid": "message-facts" });
    setText(line, facts.join(" \u00b7 "));
    this.#article.append(line);
  }
}
