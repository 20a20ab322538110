import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { bufferedBytesMax, Link, linkTimes, type SocketHandlers } from "./link.ts";

class FakeSocket {
  bufferedAmount = 0;
  sent: Uint8Array[] = [];
  closed: string | undefined;
  readonly handlers: SocketHandlers;
  constructor(handlers: SocketHandlers) {
    this.handlers = handlers;
  }
  send(bytes: Uint8Array<ArrayBuffer>): void {
    this.sent.push(bytes);
  }
  close(_code: number, reason: string): void {
    this.closed = reason;
  }
}

function makeLink(random = 1) {
  const sockets: FakeSocket[] = [];
  const events: string[] = [];
  const link = new Link({
    openSocket: (handlers) => {
      const socket = new FakeSocket(handlers);
      sockets.push(socket);
      return socket;
    },
    random: () => random,
    onOpen: () => events.push("open"),
    onMessage: (data) => events.push(`message ${String(data)}`),
    onSilence: () => events.push("silence"),
    onLost: (reason, retryMs) => events.push(`lost ${reason} ${retryMs}`),
  });
  return { link, sockets, events };
}

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe("Link", () => {
  it("comes back after growing pauses, and starts small again once settled", () => {
    const { link, sockets, events } = makeLink();
    const pauses = [500, 1000, 2000, 4000, 8000, 16000, 30000, 30000];
    for (const [index, pause] of pauses.entries()) {
      sockets[index]!.handlers.onClose(1006, "");
      expect(events.at(-1)).toBe(`lost the connection was lost ${pause}`);
      vi.advanceTimersByTime(pause - 1);
      expect(sockets.length).toBe(index + 1);
      vi.advanceTimersByTime(1);
      expect(sockets.length).toBe(index + 2);
    }
    sockets.at(-1)!.handlers.onOpen();
    link.settled();
    sockets.at(-1)!.handlers.onClose(1000, "bye");
    expect(events.at(-1)).toBe("lost bye 500");
  });

  it("leaves half of a pause to chance", () => {
    const { sockets, events } = makeLink(0);
    sockets[0]!.handlers.onClose(1006, "");
    expect(events).toEqual(["lost the connection was lost 250"]);
  });

  it("gives up a connection that never opens", () => {
    const { sockets, events } = makeLink();
    vi.advanceTimersByTime(linkTimes.connectMs);
    expect(events).toEqual(["lost no answer from the coordinator 500"]);
    expect(sockets[0]!.closed).toBeDefined();
  });

  it("asks a silent coordinator, then gives it up", () => {
    const { sockets, events } = makeLink();
    sockets[0]!.handlers.onOpen();
    vi.advanceTimersByTime(linkTimes.silenceMs);
    expect(events).toEqual(["open", "silence"]);
    sockets[0]!.handlers.onMessage("pong");
    vi.advanceTimersByTime(linkTimes.silenceMs);
    vi.advanceTimersByTime(linkTimes.silenceMs);
    expect(events.slice(2)).toEqual([
      "message pong",
      "silence",
      "lost the coordinator fell silent 500",
    ]);
  });

  it("does not listen to sockets that it gave up", () => {
    const { link, sockets, events } = makeLink();
    sockets[0]!.handlers.onOpen();
    link.drop("no use");
    sockets[0]!.handlers.onMessage("late");
    sockets[0]!.handlers.onClose(1006, "");
    expect(events).toEqual(["open", "lost no use 500"]);
    link.send(new Uint8Array(1));
    expect(sockets[0]!.sent).toEqual([]);
  });

  it("gives up a network that takes nothing", () => {
    const { link, sockets, events } = makeLink();
    sockets[0]!.handlers.onOpen();
    sockets[0]!.bufferedAmount = bufferedBytesMax;
    link.send(new Uint8Array(1));
    expect(events.at(-1)).toContain("does not take");
  });

  it("closes for good", () => {
    const { link, sockets } = makeLink();
    sockets[0]!.handlers.onOpen();
    link.close("done \u2014 \u00fc");
    expect(sockets[0]!.closed).toBe("done ? ?");
    vi.advanceTimersByTime(100_000);
    expect(sockets.length).toBe(1);
  });
});
