// Keeps the tab at work while it lends: a held Web Lock exempts it from being frozen in the
// background, a wake lock keeps the screen of a phone on while the page is looked at.

export class Awake {
  #held = false;
  #releaseLock: (() => void) | undefined;
  #screen: WakeLockSentinel | undefined;

  constructor() {
    document.addEventListener("visibilitychange", () => void this.#lockScreen());
  }

  hold(): void {
    if (this.#held) return;
    this.#held = true;
    const released = new Promise<void>((resolve) => (this.#releaseLock = resolve));
    // Neither lock is needed to lend: where the browser refuses, the tab just sleeps sooner.
    navigator.locks?.request("shoal-lend", { mode: "shared" }, () => released).catch(() => {});
    void this.#lockScreen();
  }

  release(): void {
    this.#held = false;
    this.#releaseLock?.();
    void this.#screen?.release();
    this.#screen = undefined;
  }

  async #lockScreen(): Promise<void> {
    if (!this.#held || document.hidden || !("wakeLock" in navigator)) return;
    try {
      this.#screen = await navigator.wakeLock.request("screen");
    } catch {
      this.#screen = undefined;
    }
  }
}
