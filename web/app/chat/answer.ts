// One answer as it comes: text, speed, and how it ended. Knows no page.

import { chat, ChatError, type ChatRequest } from "./api.ts";
import type { AnswerFacts, Ending, Turn } from "./tree.ts";

export interface AnswerEvents {
  // The text has grown.
  onText(): void;
  // Over: `turn` is complete. An error is given when the answer did not begin or broke off.
  onEnd(error: ChatError | undefined): void;
}

// Fills `turn` with the answer to `request`.
export class Answer {
  readonly turn: Turn;
  readonly #abort = new AbortController();
  readonly #startedMs = performance.now();
  #firstMs: number | undefined;
  #pieces = 0;
  #tokens: number | undefined;
  #reason = "";

  constructor(turn: Turn) {
    this.turn = turn;
    // Until it has ended; a page that is closed now has kept a broken answer.
    turn.ending = "broken";
  }

  stop(): void {
    this.#abort.abort();
  }

  async run(request: ChatRequest, events: AnswerEvents, tabs: () => number): Promise<void> {
    let error: ChatError | undefined;
    try {
      for await (const event of chat(request, this.#abort.signal)) {
        if (event.kind === "finish") this.#reason = event.reason;
        else if (event.kind === "usage") this.#tokens = event.completionTokens;
        else {
          this.#firstMs ??= performance.now();
          ++this.#pieces;
          this.turn.text += event.text;
          events.onText();
        }
      }
    } catch (thrown) {
      error = thrown instanceof ChatError ? thrown : new ChatError(0, String(thrown));
    }
    this.turn.ending = this.#ending(error);
    this.turn.facts = this.#facts(tabs());
    events.onEnd(error);
  }

  #ending(error: ChatError | undefined): Ending {
    if (this.#abort.signal.aborted) return "stopped";
    if (error !== undefined) return "broken";
    return this.#reason === "length" ? "length" : "stop";
  }

  #facts(tabs: number): AnswerFacts {
    const nowMs = performance.now();
    const tokens = this.#tokens ?? this.#pieces;
    const seconds = (nowMs - (this.#firstMs ?? nowMs)) / 1000;
    return {
      tokens,
      firstMs: this.#firstMs === undefined ? 0 : this.#firstMs - this.#startedMs,
      tokensPerSecond: tokens > 1 && seconds > 0 ? (tokens - 1) / seconds : 0,
      tabs,
    };
  }
}
