// The conversations of this browser: which are there, and keeping them as they change.

import type { ConversationStore, Head } from "./store.ts";
import type { Conversation } from "./tree.ts";

const saveEveryMs = 1000;
const channelName = "shoal-conversations";

export interface LibraryEvents {
  // The list has changed.
  onList(heads: Head[]): void;
  // Another tab changed this conversation.
  onElsewhere(id: string): void;
  // Keeping failed, in words for a person.
  onProblem(detail: string): void;
}

export class Library {
  // Opened while the page can be used already.
  readonly #store: Promise<ConversationStore>;
  readonly #events: LibraryEvents;
  readonly #channel = new BroadcastChannel(channelName);
  readonly #waiting = new Map<string, Conversation>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #tail = Promise.resolve();

  constructor(store: Promise<ConversationStore>, events: LibraryEvents) {
    this.#store = store;
    this.#events = events;
    this.#channel.onmessage = ({ data }) => {
      if (typeof data !== "string") return;
      void this.refresh();
      events.onElsewhere(data);
    };
    addEventListener("pagehide", () => void this.#flush());
  }

  async isKept(): Promise<boolean> {
    return (await this.#store).isKept;
  }

  async refresh(): Promise<Head[]> {
    const heads = await (await this.#store).list();
    this.#events.onList(heads);
    return heads;
  }

  // Undefined when it is not there, or what is there cannot be read.
  async load(id: string): Promise<Conversation | undefined> {
    await this.#flush();
    try {
      return await (await this.#store).load(id);
    } catch (thrown) {
      this.#events.onProblem(`A conversation cannot be read: ${(thrown as Error).message}`);
      return undefined;
    }
  }

  async all(): Promise<Conversation[]> {
    await this.#flush();
    const heads = await (await this.#store).list();
    const loaded = await Promise.all(heads.map(({ id }) => this.load(id)));
    return loaded.filter((conversation) => conversation !== undefined);
  }

  // Soon, or at once; what comes meanwhile is kept with it.
  save(conversation: Conversation, atOnce: boolean): void {
    this.#waiting.set(conversation.id, conversation);
    if (atOnce) void this.#flush();
    else this.#timer ??= setTimeout(() => void this.#flush(), saveEveryMs);
  }

  async remove(id: string): Promise<void> {
    this.#waiting.delete(id);
    await this.#tail;
    await (await this.#store).remove(id);
    this.#channel.postMessage(id);
    await this.refresh();
  }

  #flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const conversations = [...this.#waiting.values()];
    this.#waiting.clear();
    if (conversations.length > 0) this.#tail = this.#tail.then(() => this.#write(conversations));
    return this.#tail;
  }

  async #write(conversations: Conversation[]): Promise<void> {
    try {
      for (const conversation of conversations) {
        await (await this.#store).save(conversation);
        this.#channel.postMessage(conversation.id);
      }
      await this.refresh();
    } catch (thrown) {
      const isFull = thrown instanceof DOMException && thrown.name === "QuotaExceededError";
      const why = isFull ? "the browser\u2019s storage is full" : String(thrown);
      this.#events.onProblem(`Not kept: ${why}. Export what you need, or delete old chats.`);
    }
  }
}
