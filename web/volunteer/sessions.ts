// The sessions that have KV on this volunteer, and the rules of epochs: the epoch grows with every
// re-route, and whatever belongs to an older one is refused.

import { ShoalError, type Cancel, type HopType, type Open } from "../core/index.ts";

export const sessionsMax = 4096;

export interface Session {
  readonly id: bigint;
  // The executor's name of its KV cache.
  readonly kv: number;
  epoch: number;
  next: number;
  hop: HopType;
  capacity: number;
  // Positions in the KV cache, as far as queued work has been done.
  length: number;
  // KV of positions [from, to) that others send in this epoch, and the blocks that have come.
  incoming?: { from: number; to: number; blocks: Set<number> } | undefined;
  // Rows of this epoch are dropped.
  cancelled: boolean;
  // Released, or lost with its stage: whatever still refers to it is dropped.
  gone: boolean;
}

// What the table needs to know of the stage.
export interface SessionLimits {
  generation: number;
  hasHead: boolean;
  positions: number;
  kvBytesPerPosition: number;
  // Room for all KV caches together.
  kvBytesMax: number;
}

// What has to be done to the KV cache because of an open frame.
export type Opened =
  { kind: "new"; session: Session } | { kind: "again"; session: Session; keep: number };

export class SessionTable {
  readonly #sessions = new Map<bigint, Session>();
  #limits: SessionLimits | undefined;
  #nextKv = 1;
  #reserved = 0;

  // A new stage, or none: every session is lost with the old one's KV. Gives the lost sessions.
  reset(limits: SessionLimits | undefined): Session[] {
    const lost = [...this.#sessions.values()];
    for (const session of lost) session.gone = true;
    this.#sessions.clear();
    this.#limits = limits;
    this.#reserved = 0;
    return lost;
  }

  get count(): number {
    return this.#sessions.size;
  }

  // Bytes set aside for the sessions' capacities.
  get reservedBytes(): number {
    return this.#reserved;
  }

  get(id: bigint): Session | undefined {
    return this.#sessions.get(id);
  }

  open(frame: Open): Opened {
    const limits = this.#limits;
    if (limits === undefined || frame.generation !== limits.generation) {
      throw new ShoalError(
        "failed_precondition",
        `the route counts on assignment ${frame.generation}, held is ` +
          `${limits?.generation ?? "none"}`,
      );
    }
    checkRoute(frame, limits);
    const known = this.#sessions.get(frame.session);
    if (known !== undefined && frame.epoch <= known.epoch) {
      throw staleEpoch(frame.epoch, known.epoch);
    }
    if (known === undefined && this.#sessions.size >= sessionsMax) {
      throw new ShoalError("resource_exhausted", `${sessionsMax} sessions are open here`);
    }
    const before = known === undefined ? 0 : known.capacity * limits.kvBytesPerPosition;
    const reserved = this.#reserved - before + frame.capacity * limits.kvBytesPerPosition;
    if (reserved > limits.kvBytesMax) {
      throw new ShoalError(
        "resource_exhausted",
        `KV for ${frame.capacity} positions does not fit: all sessions together would need ` +
          `${reserved} of ${limits.kvBytesMax} bytes`,
      );
    }
    if (known === undefined) return this.#insert(frame, reserved);
    // The executor's room was made for the capacity that it was opened with.
    if (frame.capacity > known.capacity) {
      throw new ShoalError(
        "invalid_argument",
        `capacity ${frame.capacity} of a session opened with ${known.capacity}`,
      );
    }
    Object.assign(known, { epoch: frame.epoch, next: frame.next, hop: frame.hop });
    known.cancelled = false;
    known.incoming = undefined;
    return { kind: "again", session: known, keep: frame.keep };
  }

  #insert(frame: Open, reserved: number): Opened {
    if (frame.keep !== 0) {
      throw new ShoalError(
        "out_of_range",
        `asked to keep ${frame.keep} positions of a session that is not known here`,
      );
    }
    const session: Session = {
      id: frame.session,
      kv: this.#nextKv++,
      epoch: frame.epoch,
      next: frame.next,
      hop: frame.hop,
      capacity: frame.capacity,
      length: 0,
      cancelled: false,
      gone: false,
    };
    this.#sessions.set(session.id, session);
    this.#reserved = reserved;
    return { kind: "new", session };
  }

  // Cancelling something unknown or older is no error: it is over already.
  cancel(frame: Cancel): void {
    const session = this.#sessions.get(frame.session);
    if (session !== undefined && session.epoch === frame.epoch) session.cancelled = true;
  }

  // The session that was released, if it was known.
  release(id: bigint): Session | undefined {
    const session = this.#sessions.get(id);
    if (session === undefined) return undefined;
    session.gone = true;
    this.#sessions.delete(id);
    this.#reserved -= session.capacity * (this.#limits?.kvBytesPerPosition ?? 0);
    return session;
  }

  // The session that a frame of (id, epoch) means.
  require(id: bigint, epoch: number): Session {
    const session = this.#sessions.get(id);
    if (session === undefined) {
      throw new ShoalError("not_found", `session ${id} is not open here`);
    }
    if (epoch < session.epoch) throw staleEpoch(epoch, session.epoch);
    if (epoch > session.epoch) {
      throw new ShoalError(
        "failed_precondition",
        `epoch ${epoch} has not been opened here, the session is at ${session.epoch}`,
      );
    }
    return session;
  }
}

function staleEpoch(epoch: number, current: number): ShoalError {
  return new ShoalError("stale_epoch", `epoch ${epoch} came, the session is at ${current}`);
}

function checkRoute(frame: Open, { hasHead, positions }: SessionLimits): void {
  if (frame.session === 0n) throw new ShoalError("invalid_argument", "session 0 is no session");
  if (hasHead !== (frame.next === 0)) {
    throw new ShoalError(
      "invalid_argument",
      hasHead
        ? `the head is here, yet the session's next node is ${frame.next}`
        : "the head is not here, yet the session has no next node",
    );
  }
  if (frame.capacity < 1 || frame.capacity > positions) {
    throw new ShoalError(
      "invalid_argument",
      `a session of ${frame.capacity} positions; 1 to ${positions} are served`,
    );
  }
}
