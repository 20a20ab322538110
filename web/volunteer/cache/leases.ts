// Who uses which cached blob, among all tabs of one origin: what somebody uses is not evicted.

export interface Leases {
  // Holds `location` until the returned function is called.
  hold(location: string): Promise<() => void>;
  // Runs `action` alone, unless somebody holds `location`; whether it ran.
  ifFree(location: string, action: () => Promise<void>): Promise<boolean>;
  // Runs `action` while no other tab evicts.
  alone<T>(action: () => Promise<T>): Promise<T>;
}

const name = (location: string): string => `shoal-blob-${location}`;

// By Web Locks, which end with the tab that holds them.
export class LockLeases implements Leases {
  readonly #locks: LockManager;

  constructor(locks: LockManager) {
    this.#locks = locks;
  }

  async hold(location: string): Promise<() => void> {
    return await new Promise<() => void>((resolve, reject) => {
      const untilReleased = (): Promise<void> => new Promise((release) => resolve(release));
      this.#locks.request(name(location), { mode: "shared" }, untilReleased).catch(reject);
    });
  }

  async ifFree(location: string, action: () => Promise<void>): Promise<boolean> {
    return await this.#locks.request(name(location), { ifAvailable: true }, async (lock) => {
      if (lock === null) return false;
      await action();
      return true;
    });
  }

  async alone<T>(action: () => Promise<T>): Promise<T> {
    return await this.#locks.request("shoal-evict", action);
  }
}
