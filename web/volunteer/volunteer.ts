// Lends this page's machine: `const volunteer = Volunteer.start(options, onEvent)`.
//
// Everything happens in Workers; the page gets events. One volunteer per page is enough; several
// tabs on one machine are several volunteers.

import type { PageToNode, VolunteerEvent, VolunteerOptions } from "./messages.ts";

export * from "./messages.ts";
export { executorNames, type ExecutorName } from "./executor.ts";

// A little longer than the node worker waits for the coordinator's bye.
const stopMs = 16_000;

export class Volunteer {
  readonly #worker: Worker;
  readonly #onEvent: (event: VolunteerEvent) => void;
  readonly #onPageHide = (): void => this.#post({ kind: "stop", reason: "the page was closed" });
  #over = false;

  static start(options: VolunteerOptions, onEvent: (event: VolunteerEvent) => void): Volunteer {
    return new Volunteer(options, onEvent);
  }

  private constructor(options: VolunteerOptions, onEvent: (event: VolunteerEvent) => void) {
    this.#onEvent = onEvent;
    this.#worker = new Worker(new URL("./node.worker.ts", import.meta.url), {
      type: "module",
      name: "shoal node",
    });
    this.#worker.addEventListener("message", (event: MessageEvent<VolunteerEvent>) => {
      this.#deliver(event.data);
    });
    this.#worker.addEventListener("error", (event) => {
      event.preventDefault();
      const detail = `the worker failed: ${event.message || "its script could not be loaded"}`;
      this.#deliver({ kind: "state", state: "refused", node: 0, detail });
    });
    addEventListener("pagehide", this.#onPageHide);
    this.#post({ kind: "start", options, platform: navigator.userAgent });
  }

  // Says goodbye to the coordinator; the `stopped` state follows within a few seconds.
  stop(): void {
    this.#post({ kind: "stop", reason: "stopped by its owner" });
    setTimeout(() => {
      this.#deliver({ kind: "state", state: "stopped", node: 0, detail: "stopped" });
    }, stopMs);
  }

  // Other limits from now on; `dataBytesLeft` may be Infinity.
  limit(timeShare: number, dataBytesLeft: number): void {
    this.#post({ kind: "limits", timeShare, dataBytesLeft });
  }

  #post(message: PageToNode): void {
    if (!this.#over) this.#worker.postMessage(message);
  }

  #deliver(event: VolunteerEvent): void {
    if (this.#over) return;
    if (event.kind === "state" && (event.state === "stopped" || event.state === "refused")) {
      this.#over = true;
      removeEventListener("pagehide", this.#onPageHide);
      // Its executor worker goes with it.
      this.#worker.terminate();
    }
    this.#onEvent(event);
  }
}
