// Chunks in the Cache API, for browsers without an origin private file system: one entry a chunk,
// one more with the date of the last use. The addresses name nothing on any server.

import { isLocation, type CachedBlob, type ChunkStore } from "./chunk_store.ts";

const usedName = "used";
const dateHeader = "X-Used";

export class CacheApiStore implements ChunkStore {
  readonly #cache: Cache;
  readonly #prefix: string;

  // `origin`: of the page, e.g. "https://host:8080".
  static async open(caches: CacheStorage, origin: string): Promise<CacheApiStore> {
    return new CacheApiStore(await caches.open("shoal-blobs"), origin);
  }

  private constructor(cache: Cache, origin: string) {
    this.#cache = cache;
    this.#prefix = `${origin}/cached-blobs/`;
  }

  async read(location: string, index: number): Promise<Blob | undefined> {
    return await (await this.#cache.match(this.#url(location, index)))?.blob();
  }

  async write(location: string, index: number, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    const headers = { "Content-Length": `${bytes.length}` };
    await this.#cache.put(this.#url(location, index), new Response(bytes, { headers }));
  }

  async touch(location: string): Promise<void> {
    const headers = { [dateHeader]: `${Date.now()}`, "Content-Length": "0" };
    await this.#cache.put(this.#url(location, usedName), new Response("", { headers }));
  }

  async remove(location: string): Promise<void> {
    for (const { url } of await this.#cache.keys()) {
      if (this.#parse(url)?.location === location) await this.#cache.delete(url);
    }
  }

  async list(): Promise<CachedBlob[]> {
    const found = new Map<string, CachedBlob>();
    for (const { url } of await this.#cache.keys()) {
      const { location, name } = this.#parse(url) ?? {};
      const headers = (await this.#cache.match(url))?.headers;
      if (location === undefined || headers === undefined) continue;
      const blob = found.get(location) ?? { location, bytes: 0, usedMs: 0 };
      if (name === usedName) blob.usedMs = Number(headers.get(dateHeader));
      else blob.bytes += Number(headers.get("Content-Length"));
      found.set(location, blob);
    }
    return [...found.values()];
  }

  #url(location: string, name: number | string): string {
    return `${this.#prefix}${location}/${name}`;
  }

  #parse(url: string): { location: string; name: string } | undefined {
    if (!url.startsWith(this.#prefix)) return undefined;
    const [location, name] = url.slice(this.#prefix.length).split("/");
    if (location === undefined || name === undefined || !isLocation(location)) return undefined;
    return { location, name };
  }
}
