// What its owner lets this machine lend, kept here and not by courtesy of the coordinator: the
// share of time and the data of a day inside the Workers (Pacer, DataMeter), the rest by whoever
// starts and stops the volunteer (pauseFor).

import { ShoalError } from "../core/index.ts";
import { byteReader, byteStream } from "./byte_streams.ts";
import type { Socket, SocketHandlers } from "./link.ts";

export interface Limits {
  // Of the time, in [timeShareMin, 1], that the executor may be at work.
  timeShare: number;
  // Received and sent on one day; Infinity for no limit.
  dataBytesPerDay: number;
  // Minutes after midnight, local time; work goes on from `from` until `to`, over midnight when
  // `to` is smaller. Equal: the whole day.
  fromMinute: number;
  toMinute: number;
  // Whether work goes on while ...
  whenHidden: boolean;
  onBattery: boolean;
  onMetered: boolean;
}

export const timeShareMin = 0.1;
export const minutesPerDay = 24 * 60;

export const defaultLimits: Limits = {
  timeShare: 1,
  dataBytesPerDay: Infinity,
  fromMinute: 0,
  toMinute: 0,
  whenHidden: true,
  onBattery: true,
  onMetered: true,
};

// The machine and the day as they are; undefined where the browser does not tell.
export interface Surroundings {
  hidden: boolean;
  onBattery: boolean | undefined;
  metered: boolean | undefined;
  minute: number;
  dataBytesToday: number;
}

export type PauseReason = "hidden" | "battery" | "metered" | "hours" | "data";

// Why nothing may be lent now; undefined when it may. What the browser does not tell counts as
// allowed: the page offers such a limit only where it can be kept.
export function pauseFor(limits: Limits, now: Surroundings): PauseReason | undefined {
  if (now.dataBytesToday >= limits.dataBytesPerDay) return "data";
  if (!isWithin(now.minute, limits.fromMinute, limits.toMinute)) return "hours";
  if (!limits.onBattery && now.onBattery === true) return "battery";
  if (!limits.onMetered && now.metered === true) return "metered";
  if (!limits.whenHidden && now.hidden) return "hidden";
  return undefined;
}

function isWithin(minute: number, from: number, to: number): boolean {
  if (from === to) return true;
  return from < to ? minute >= from && minute < to : minute >= from || minute < to;
}

// Takes what is right of something that was kept or handed in; the rest is without a limit.
export function readLimits(value: unknown): Limits {
  const limits = { ...defaultLimits };
  if (typeof value !== "object" || value === null) return limits;
  const given = value as Record<string, unknown>;
  const number = (key: string, min: number, max: number): number | undefined => {
    const found = given[key];
    return typeof found === "number" && found >= min && found <= max ? found : undefined;
  };
  limits.timeShare = number("timeShare", timeShareMin, 1) ?? limits.timeShare;
  limits.dataBytesPerDay = number("dataBytesPerDay", 0, Infinity) ?? limits.dataBytesPerDay;
  limits.fromMinute = Math.floor(number("fromMinute", 0, minutesPerDay - 1) ?? 0);
  limits.toMinute = Math.floor(number("toMinute", 0, minutesPerDay - 1) ?? 0);
  for (const key of ["whenHidden", "onBattery", "onMetered"] as const) {
    if (typeof given[key] === "boolean") limits[key] = given[key];
  }
  return limits;
}

// One rest is at most this long, so that a step that waits behind it does not count as lost; what
// is left of it is rested after later work.
const restMsMax = 10_000;
// Of what was not worked, so much at most makes later rests shorter: a tab that was idle for an
// hour does not work without a break for the next.
const creditMsMax = 100;
// So much of the share is aimed at: the rest is for what a tab does around the work (frames, the
// page), which is not told to the pacer but counts as this tab's all the same.
const aim = 0.92;

// Keeps the share of time at work: after work comes rest in proportion. All time without work is
// rest, also that of waiting for something to do, and what a sleep took longer than was asked for.
export class Pacer {
  readonly #sleep: (ms: number) => Promise<void>;
  readonly #now: () => number;
  #share: number;
  #owedMs = 0;
  // When the last work ended.
  #endedMs: number;

  constructor(share: number, now: () => number, sleep: (ms: number) => Promise<void>) {
    this.#share = readLimits({ timeShare: share }).timeShare;
    this.#now = now;
    this.#sleep = sleep;
    this.#endedMs = now();
  }

  set share(share: number) {
    this.#share = readLimits({ timeShare: share }).timeShare;
    if (this.#share === 1) this.#owedMs = 0;
  }

  // To be awaited after `busyMs` of work, before the next.
  async rest(busyMs: number): Promise<void> {
    const nowMs = this.#now();
    const idleMs = Math.max(0, nowMs - busyMs - this.#endedMs);
    this.#endedMs = nowMs;
    if (this.#share === 1) return;
    this.#owedMs = Math.max(-creditMsMax, this.#owedMs - idleMs);
    this.#owedMs += busyMs * (1 / (aim * this.#share) - 1);
    if (this.#owedMs >= 1) await this.#sleep(Math.min(this.#owedMs, restMsMax));
  }
}

// Counts every byte that comes and goes; when the allowance is used up, nothing more does.
export class DataMeter {
  readonly #onSpent: () => void;
  #used = 0;
  #left: number;

  // `onSpent` is called once, when the allowance is used up or cannot take what is to come.
  constructor(bytesLeft: number, onSpent: () => void) {
    this.#left = bytesLeft;
    this.#onSpent = onSpent;
  }

  // Since the beginning.
  get used(): number {
    return this.#used;
  }

  // A new allowance, from now on.
  set left(bytes: number) {
    this.#left = bytes;
  }

  spend(bytes: number): void {
    const before = this.#left;
    this.#used += bytes;
    this.#left -= bytes;
    if (before > 0 && this.#left <= 0) this.#onSpent();
  }

  // A fetch whose answers count. One that would go beyond the allowance is not begun; one that
  // does not say how long it is ends where the allowance ends.
  fetch(doFetch: typeof fetch): typeof fetch {
    return async (input, init) => {
      if (this.#left <= 0) throw this.#exhausted();
      const response = await doFetch(input, init);
      const length = Number(response.headers.get("Content-Length") ?? 0);
      if (length > this.#left) {
        await response.body?.cancel();
        this.#left = 0;
        this.#onSpent();
        throw this.#exhausted();
      }
      if (response.body === null) return response;
      const reader = byteReader(response.body);
      const counted = byteStream({
        read: async (into) => {
          const filled = await reader.read(into);
          this.spend(filled.length);
          if (this.#left < 0) throw this.#exhausted();
          return filled;
        },
        cancel: (reason) => reader.cancel(reason),
      });
      const { status, headers } = response;
      return new Response(counted, { status, headers });
    };
  }

  // Sockets whose messages count.
  socket(open: (handlers: SocketHandlers) => Socket): (handlers: SocketHandlers) => Socket {
    return (handlers) => {
      const socket = open({
        onOpen: () => handlers.onOpen(),
        onMessage: (data) => {
          if (data instanceof ArrayBuffer) this.spend(data.byteLength);
          handlers.onMessage(data);
        },
        onClose: (code, reason) => handlers.onClose(code, reason),
      });
      return {
        get bufferedAmount() {
          return socket.bufferedAmount;
        },
        send: (bytes) => {
          this.spend(bytes.length);
          socket.send(bytes);
        },
        close: (code, reason) => socket.close(code, reason),
      };
    };
  }

  #exhausted(): ShoalError {
    return new ShoalError("resource_exhausted", "the data that may be used today is used up");
  }
}
