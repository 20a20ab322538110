// Where conversations are kept: in this browser's IndexedDB, and nowhere else.

import { readConversation } from "./transfer.ts";
import type { Conversation } from "./tree.ts";

// What the list of conversations shows.
export interface Head {
  id: string;
  title: string;
  updatedMs: number;
}

export interface ConversationStore {
  // False: gone when the page is closed.
  readonly isKept: boolean;
  // Newest first.
  list(): Promise<Head[]>;
  load(id: string): Promise<Conversation | undefined>;
  save(conversation: Conversation): Promise<void>;
  remove(id: string): Promise<void>;
}

const databaseName = "shoal-chat";
const version = 1;

// The browser's database, or memory where the browser has none for us (private windows).
export async function openStore(
  factory: IDBFactory | undefined = globalThis.indexedDB,
): Promise<ConversationStore> {
  if (factory === undefined) return new MemoryStore();
  try {
    return new IndexedStore(await openDatabase(factory));
  } catch {
    return new MemoryStore();
  }
}

function openDatabase(factory: IDBFactory): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const request = factory.open(databaseName, version);
    request.onupgradeneeded = () => {
      request.result.createObjectStore("conversations", { keyPath: "id" });
      request.result.createObjectStore("heads", { keyPath: "id" });
    };
    request.onsuccess = () => {
      const database = request.result;
      // A page of a newer version wants to change the form: do not stand in its way.
      database.onversionchange = () => database.close();
      resolve(database);
    };
    request.onerror = () => reject(request.error as Error);
    request.onblocked = () => reject(new Error("another tab holds an older database open"));
  });
}

function headOf({ id, title, updatedMs }: Conversation): Head {
  return { id, title, updatedMs };
}

function newestFirst(a: Head, b: Head): number {
  return b.updatedMs - a.updatedMs || (a.id < b.id ? -1 : 1);
}

class IndexedStore implements ConversationStore {
  readonly isKept = true;
  readonly #database: IDBDatabase;

  constructor(database: IDBDatabase) {
    this.#database = database;
  }

  async list(): Promise<Head[]> {
    const store = this.#database.transaction("heads").objectStore("heads");
    const heads = await answerOf(store.getAll() as IDBRequest<Head[]>);
    return heads.sort(newestFirst);
  }

  async load(id: string): Promise<Conversation | undefined> {
    const store = this.#database.transaction("conversations").objectStore("conversations");
    const found: unknown = await answerOf(store.get(id));
    return found === undefined ? undefined : readConversation(found);
  }

  async save(conversation: Conversation): Promise<void> {
    await this.#change((conversations, heads) => {
      conversations.put(structuredClone(conversation));
      heads.put(headOf(conversation));
    });
  }

  async remove(id: string): Promise<void> {
    await this.#change((conversations, heads) => {
      conversations.delete(id);
      heads.delete(id);
    });
  }

  #change(change: (conversations: IDBObjectStore, heads: IDBObjectStore) => void): Promise<void> {
    return new Promise((resolve, reject) => {
      const transaction = this.#database.transaction(["conversations", "heads"], "readwrite");
      transaction.oncomplete = () => resolve();
      transaction.onerror = () => reject(transaction.error as Error);
      transaction.onabort = () => reject(transaction.error ?? new Error("the change was undone"));
      change(transaction.objectStore("conversations"), transaction.objectStore("heads"));
    });
  }
}

function answerOf<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error as Error);
  });
}

export class MemoryStore implements ConversationStore {
  readonly isKept = false;
  readonly #held = new Map<string, Conversation>();

  list(): Promise<Head[]> {
    return Promise.resolve([...this.#held.values()].map(headOf).sort(newestFirst));
  }

  load(id: string): Promise<Conversation | undefined> {
    return Promise.resolve(structuredClone(this.#held.get(id)));
  }

  save(conversation: Conversation): Promise<void> {
    this.#held.set(conversation.id, structuredClone(conversation));
    return Promise.resolve();
  }

  remove(id: string): Promise<void> {
    this.#held.delete(id);
    return Promise.resolve();
  }
}
