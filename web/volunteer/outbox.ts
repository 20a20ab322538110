// Frames on their way out: encoded and given to whatever connection there is.

import {
  coordinatorNode,
  ShoalError,
  type Bodies,
  type Core,
  type Frame,
  type Kind,
} from "../core/index.ts";

// Whom an error frame is about; nothing: the connection.
export interface ErrorAbout {
  session?: bigint;
  epoch?: number;
  generation?: number;
}

// The codec refuses longer strings.
const detailBytesMax = 2000;

export class Outbox {
  readonly #core: Core;
  readonly #sendBytes: (bytes: Uint8Array<ArrayBuffer>) => void;
  // Our number, once the coordinator has given one.
  node = 0;
  bytesSent = 0;

  // `sendBytes` may drop what it is given when there is no connection: whatever was under way on a
  // lost connection is the coordinator's to repeat.
  constructor(core: Core, sendBytes: (bytes: Uint8Array<ArrayBuffer>) => void) {
    this.#core = core;
    this.#sendBytes = sendBytes;
  }

  // The number of bytes of the frame.
  send<K extends Kind>(kind: K, body: Bodies[K], to = coordinatorNode): number {
    const bytes = this.#core.encode({ kind, to, from: this.node, body } as Frame);
    this.bytesSent += bytes.length;
    this.#sendBytes(bytes);
    return bytes.length;
  }

  sendError(error: ShoalError, about: ErrorAbout = {}): void {
    this.send("error", {
      code: error.code,
      session: about.session ?? 0n,
      epoch: about.epoch ?? 0,
      generation: about.generation ?? 0,
      detail: error.detail.slice(0, detailBytesMax),
    });
  }
}
