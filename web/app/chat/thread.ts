// The conversation on show: asks, answers, branches. Answers of other conversations go on
// meanwhile.

import type { ChatError } from "./api.ts";
import { Answer } from "./answer.ts";
import { MessageView, type MessageActions } from "./message_view.ts";
import {
  addTurn,
  chooseBranch,
  pathTo,
  requestMessages,
  siblingsOf,
  type Attachment,
  type Conversation,
} from "./tree.ts";

export interface ThreadParts {
  log: HTMLElement;
  origin: string;
  // A change that is worth keeping; `isWhole` when an answer has ended.
  onChange(conversation: Conversation, isWhole: boolean): void;
  // The conversation on show began or ceased to be answered, or is another one.
  onShow(): void;
  // How many pieces of the answer on show have come; undefined when none is under way.
  onProgress(pieces: number | undefined): void;
  // Shown below an answer while it comes.
  companion?: HTMLElement;
  // For those who listen instead of look.
  announce(text: string): void;
  // How many tabs hold a piece of the model now.
  tabs(): number;
}

interface Running {
  answer: Answer;
  pieces: number;
  conversation: Conversation;
  index: number;
}

const spokenCharsMax = 4000;
// Nearer to the end than this counts as reading along.
const endPx = 90;

export class Thread {
  readonly #parts: ThreadParts;
  readonly #running = new Map<string, Running>();
  readonly #actions: MessageActions;
  #conversation: Conversation;
  #views = new Map<number, MessageView>();
  #follows = true;
  #scrollTop = 0;
  // Formulas, colours and pieces of text make messages grow.
  readonly #growth = new ResizeObserver(() => this.#follow(false));

  constructor(parts: ThreadParts, conversation: Conversation) {
    this.#parts = parts;
    this.#conversation = conversation;
    this.#actions = {
      lendUrl: `${parts.origin}/lend`,
      regenerate: (turn) => this.#answer(this.#conversation.turns[turn]!.parent),
      edit: (turn, text) => this.#edit(turn, text),
      choose: (turn) => this.#choose(turn),
      retry: (turn) => this.#retry(turn),
    };
    parts.log.addEventListener("scroll", () => this.#onScroll());
  }

  get conversation(): Conversation {
    return this.#conversation;
  }

  get isBusy(): boolean {
    return this.#running.has(this.#conversation.id);
  }

  isAnswering(id: string): boolean {
    return this.#running.has(id);
  }

  show(conversation: Conversation): void {
    // One that is being answered is held here already, with what came since it was kept.
    this.#conversation = this.#running.get(conversation.id)?.conversation ?? conversation;
    this.#draw();
    this.#follow(true);
    this.#parts.onShow();
  }

  ask(text: string, attachments: Attachment[]): void {
    if (this.isBusy) return;
    const { leaf } = this.#conversation;
    const turn = { parent: leaf, role: "user" as const, text, createdMs: Date.now() };
    const kept = attachments.length > 0 ? { ...turn, attachments } : turn;
    this.#answer(addTurn(this.#conversation, kept));
  }

  stop(): void {
    this.#running.get(this.#conversation.id)?.answer.stop();
  }

  // Ends the answer of a conversation that is to be deleted.
  drop(id: string): void {
    const running = this.#running.get(id);
    this.#running.delete(id);
    running?.answer.stop();
  }

  // Opens the last message of the reader for editing.
  editLast(): void {
    if (this.isBusy) return;
    const { turns } = this.#conversation;
    const last = pathTo(this.#conversation, this.#conversation.leaf)
      .reverse()
      .find((index) => turns[index]!.role === "user");
    if (last !== undefined) this.#views.get(last)?.edit();
  }

  #edit(index: number, text: string): void {
    if (this.isBusy) return;
    const { parent, attachments } = this.#conversation.turns[index]!;
    const turn = { parent, role: "user" as const, text, createdMs: Date.now() };
    const kept = attachments === undefined ? turn : { ...turn, attachments };
    this.#answer(addTurn(this.#conversation, kept));
  }

  #choose(turn: number): void {
    if (this.isBusy) return;
    chooseBranch(this.#conversation, turn);
    this.#draw();
    this.#parts.onChange(this.#conversation, true);
    // The control that was used is there again on the branch chosen.
    const view = this.#views.get(turn);
    view?.element.querySelector<HTMLElement>(".switcher button:enabled")?.focus();
  }

  // One that never began is not kept and asked for anew, one that broke off gets a version beside
  // it.
  #retry(index: number): void {
    this.#answer(this.#conversation.turns[index]?.parent ?? this.#conversation.leaf);
  }

  #answer(parent: number): void {
    if (this.isBusy) return;
    const conversation = this.#conversation;
    const request = {
      origin: this.#parts.origin,
      messages: requestMessages(conversation, parent),
      settings: structuredClone(conversation.settings),
    };
    const turn = { parent, role: "assistant" as const, text: "", createdMs: Date.now() };
    const index = addTurn(conversation, turn);
    const answer = new Answer(conversation.turns[index]!);
    const running = { answer, pieces: 0, conversation, index };
    this.#running.set(conversation.id, running);
    this.#draw();
    this.#follow(true);
    this.#parts.onShow();
    this.#parts.announce("Shoal is answering.");
    this.#parts.onChange(conversation, true);
    const view = (): MessageView | undefined =>
      this.#conversation === conversation ? this.#views.get(index) : undefined;
    const events = {
      onText: () => {
        ++running.pieces;
        const shown = view();
        shown?.grow();
        if (shown !== undefined) this.#parts.onProgress(running.pieces);
        this.#parts.onChange(conversation, false);
      },
      onEnd: (error: ChatError | undefined) => this.#end(conversation, index, view(), error),
    };
    void answer.run(request, events, this.#parts.tabs);
  }

  #end(
    conversation: Conversation,
    index: number,
    view: MessageView | undefined,
    error: ChatError | undefined,
  ): void {
    const isDropped = this.#running.get(conversation.id)?.index !== index;
    if (isDropped) return;
    this.#running.delete(conversation.id);
    const { text, parent } = conversation.turns[index]!;
    // Nothing came: nothing is kept, and the question can be asked again.
    if (text === "") {
      conversation.turns.pop();
      conversation.leaf = parent;
    }
    if (view !== undefined) this.#accompany(undefined);
    view?.end(error);
    if (view !== undefined && text === "" && error === undefined) this.#draw();
    this.#setIdle();
    this.#follow(false);
    this.#parts.announce(error === undefined ? spoken(text) : "");
    this.#parts.onChange(conversation, true);
    this.#parts.onShow();
  }

  #draw(): void {
    const conversation = this.#conversation;
    const running = this.#running.get(conversation.id);
    const path = pathTo(conversation, conversation.leaf);
    this.#views = new Map(
      path.map((index) => {
        const turn = conversation.turns[index]!;
        const place = { index, turn, siblings: siblingsOf(conversation, index) };
        return [index, new MessageView(place, running?.index === index, this.#actions)];
      }),
    );
    for (const old of this.#parts.log.querySelectorAll(":scope > article")) old.remove();
    this.#parts.log.append(...[...this.#views.values()].map((view) => view.element));
    this.#accompany(running);
    this.#growth.disconnect();
    for (const view of this.#views.values()) this.#growth.observe(view.element);
    this.#setIdle();
  }

  #accompany(running: Running | undefined): void {
    const view = running && this.#views.get(running.index);
    this.#parts.onProgress(running?.pieces);
    if (view === undefined) this.#parts.companion?.remove();
    else if (this.#parts.companion !== undefined) view.element.append(this.#parts.companion);
  }

  // While an answer comes, no other branch can begin.
  #setIdle(): void {
    for (const view of this.#views.values()) view.setIdle(!this.isBusy);
  }

  // Only who scrolls back stops reading along: an end that has moved away since is no such sign.
  #onScroll(): void {
    const top = this.#parts.log.scrollTop;
    if (this.#isAtEnd()) this.#follows = true;
    else if (top < this.#scrollTop) this.#follows = false;
    this.#scrollTop = top;
  }

  #isAtEnd(): boolean {
    const { log } = this.#parts;
    return log.scrollHeight - log.scrollTop - log.clientHeight < endPx;
  }

  // Keeps the end in view, unless the reader has scrolled away from it.
  #follow(always: boolean): void {
    if (always) this.#follows = true;
    if (!this.#follows) return;
    requestAnimationFrame(() => {
      if (this.#follows) this.#parts.log.scrollTop = this.#parts.log.scrollHeight;
    });
  }
}

function spoken(text: string): string {
  if (text === "") return "No answer.";
  return text.length <= spokenCharsMax ? text : `${text.slice(0, spokenCharsMax)}\u2026`;
}
