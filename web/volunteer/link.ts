// One connection to the coordinator after the other: connects, notices that a connection is dead,
// and comes back with growing, random pauses.

// What this module needs of a WebSocket; a WebSocket is one.
export interface Socket {
  readonly bufferedAmount: number;
  send(bytes: Uint8Array<ArrayBuffer>): void;
  close(code: number, reason: string): void;
}

// What a socket tells; never from within the call that opens it.
export interface SocketHandlers {
  onOpen(): void;
  onMessage(data: unknown): void;
  onClose(code: number, reason: string): void;
}

export interface LinkOptions {
  // May throw.
  openSocket(handlers: SocketHandlers): Socket;
  // In [0, 1).
  random(): number;
  onOpen(): void;
  onMessage(data: unknown): void;
  // Nothing came for a while: ask for a sign of life.
  onSilence(): void;
  // The connection is lost; the next attempt starts in `retryMs`.
  onLost(reason: string, retryMs: number): void;
}

export const linkTimes = {
  connectMs: 10_000,
  // After this long without a frame we ask, and after this much longer we give up.
  silenceMs: 10_000,
  // The pause doubles from the first to the last.
  pauseFirstMs: 500,
  pauseLastMs: 30_000,
};

// Beyond this much that the network has not taken, the connection counts as lost.
export const bufferedBytesMax = 256 * 1024 * 1024;

export class Link {
  readonly #options: LinkOptions;
  #socket: Socket | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #pauseMs = linkTimes.pauseFirstMs;
  #attempt = 0;
  #asked = false;
  #closed = false;

  constructor(options: LinkOptions) {
    this.#options = options;
    this.#connect();
  }

  // The connection is of use: the next pause starts small again.
  settled(): void {
    this.#pauseMs = linkTimes.pauseFirstMs;
  }

  // Dropped when there is no connection.
  send(bytes: Uint8Array<ArrayBuffer>): void {
    const socket = this.#socket;
    if (socket === undefined) return;
    if (socket.bufferedAmount + bytes.length > bufferedBytesMax) {
      this.#lose("the network does not take what is sent");
      return;
    }
    try {
      socket.send(bytes);
    } catch {
      // Not open yet or closing: as good as no connection; onclose follows.
    }
  }

  // Gives up this connection; another is tried after a pause of at least `pauseMs`.
  drop(reason: string, pauseMs = 0): void {
    this.#pauseMs = Math.max(this.#pauseMs, pauseMs);
    this.#lose(reason);
  }

  // For good.
  close(reason: string): void {
    this.#closed = true;
    this.#detach(reason);
  }

  #connect(): void {
    const attempt = ++this.#attempt;
    // A socket that was given up may still tell of itself.
    const ifCurrent = (then: () => void): void => {
      if (attempt === this.#attempt && this.#socket !== undefined) then();
    };
    try {
      this.#socket = this.#options.openSocket({
        onOpen: () =>
          ifCurrent(() => {
            this.#listen();
            this.#options.onOpen();
          }),
        onMessage: (data) =>
          ifCurrent(() => {
            this.#listen();
            this.#options.onMessage(data);
          }),
        onClose: (code, reason) => ifCurrent(() => this.#lose(reason || closeReason(code))),
      });
    } catch (thrown) {
      this.#lose(thrown instanceof Error ? thrown.message : String(thrown));
      return;
    }
    this.#arm(linkTimes.connectMs, () => this.#lose("no answer from the coordinator"));
  }

  #listen(): void {
    this.#asked = false;
    this.#arm(linkTimes.silenceMs, () => this.#onSilence());
  }

  #onSilence(): void {
    if (this.#asked) {
      this.#lose("the coordinator fell silent");
      return;
    }
    this.#asked = true;
    this.#arm(linkTimes.silenceMs, () => this.#onSilence());
    this.#options.onSilence();
  }

  #lose(reason: string): void {
    if (this.#closed) return;
    this.#detach(reason);
    // Half the pause is certain, half is chance: many tabs must not come back as one.
    const retryMs = Math.round(this.#pauseMs * (0.5 + 0.5 * this.#options.random()));
    this.#pauseMs = Math.min(this.#pauseMs * 2, linkTimes.pauseLastMs);
    this.#arm(retryMs, () => this.#connect());
    this.#options.onLost(reason, retryMs);
  }

  #detach(reason: string): void {
    clearTimeout(this.#timer);
    this.#asked = false;
    const socket = this.#socket;
    this.#socket = undefined;
    if (socket === undefined) return;
    // Only these characters and lengths are allowed in a close frame.
    socket.close(1000, reason.slice(0, 100).replace(/[^\x20-\x7e]/g, "?"));
  }

  #arm(ms: number, then: () => void): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(then, ms);
  }
}

function closeReason(code: number): string {
  return code === 1006 ? "the connection was lost" : `the connection was closed (${code})`;
}
