// What this browser has given so far: data of today and work of all time. Several tabs of one
// browser count together.

const key = "shoal-lend-tally";

interface Kept {
  day: string;
  dataBytes: number;
  tokenLayers: number;
}

export class Tally {
  readonly #storage: Pick<Storage, "getItem" | "setItem"> | undefined;
  readonly #today: () => string;
  // Where nothing can be kept.
  #memory: Kept = { day: "", dataBytes: 0, tokenLayers: 0 };

  // `today` names the day, in local time.
  constructor(storage: Pick<Storage, "getItem" | "setItem"> | undefined, today: () => string) {
    this.#storage = storage;
    this.#today = today;
  }

  get dataBytesToday(): number {
    return this.#read().dataBytes;
  }

  // Tokens times the layers that they went through here.
  get tokenLayers(): number {
    return this.#read().tokenLayers;
  }

  add(dataBytes: number, tokenLayers: number): void {
    const kept = this.#read();
    this.#write({
      day: kept.day,
      dataBytes: kept.dataBytes + dataBytes,
      tokenLayers: kept.tokenLayers + tokenLayers,
    });
  }

  // The day's data count as used up, whatever is left of `bytes`.
  useUp(bytes: number): void {
    const kept = this.#read();
    if (Number.isFinite(bytes))
      this.#write({ ...kept, dataBytes: Math.max(kept.dataBytes, bytes) });
  }

  #read(): Kept {
    let kept = this.#memory;
    try {
      const json: unknown = JSON.parse(this.#storage?.getItem(key) ?? "null");
      if (isKept(json)) kept = json;
    } catch {
      // Unreadable: as if nothing had been kept.
    }
    const day = this.#today();
    return kept.day === day ? kept : { day, dataBytes: 0, tokenLayers: kept.tokenLayers };
  }

  #write(kept: Kept): void {
    this.#memory = kept;
    try {
      this.#storage?.setItem(key, JSON.stringify(kept));
    } catch {
      // Full or forbidden: the memory of this page counts on.
    }
  }
}

function isKept(value: unknown): value is Kept {
  if (typeof value !== "object" || value === null) return false;
  const { day, dataBytes, tokenLayers } = value as Record<string, unknown>;
  const isCount = (count: unknown): boolean =>
    typeof count === "number" && Number.isFinite(count) && count >= 0;
  return typeof day === "string" && isCount(dataBytes) && isCount(tokenLayers);
}
