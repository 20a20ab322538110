// What somebody who lends can do about a problem, in words.

import type { ErrorCode } from "../../core/index.ts";
import { formatSize } from "../common/size.ts";

export interface Circumstances {
  isOnline: boolean;
  // Served so that the browser gives its full means: HTTPS, or this very machine.
  isSecure: boolean;
  memoryBytes: number;
}

export interface Advice {
  text: string;
  // Worth a button: lend so much instead.
  lessBytes?: number;
}

const lessMin = 64 * 1024 * 1024;

export function adviceFor(
  code: ErrorCode,
  detail: string,
  { isOnline, isSecure, memoryBytes }: Circumstances,
): Advice {
  if (!isOnline) return { text: "You are offline. It goes on by itself when you are back." };
  if (!isSecure) {
    return {
      text: "This page came without HTTPS, so the browser holds back what lending needs. " +
        "Open it by its https:// address. If it has none yet, whoever runs this swarm can start " +
        "it with --tls self, which needs nothing else.",
    };
  }
  switch (code) {
    case "resource_exhausted": {
      if (/today/.test(detail)) return { text: "It goes on tomorrow, or with a higher limit." };
      if (/storage|disk/.test(detail)) {
        return {
          text: "The browser\u2019s storage is full. It goes on in memory; " +
            "clearing the storage below helps.",
        };
      }
      const less = memoryBytes / 2;
      const text = "The memory did not suffice. Close other tabs, or lend less.";
      return less < lessMin
        ? { text }
        : { text: `${text} ${formatSize(less)} is a good try.`, lessBytes: less };
    }
    case "permission_denied":
      return { text: "This swarm is private: open the link that its owner gave you." };
    case "unimplemented":
      return { text: "This page and the coordinator are of different versions. Reload the page." };
    case "data_loss":
      return {
        text: "What came was not what was promised. It is fetched again; if this stays, tell the " +
          "swarm\u2019s owner.",
      };
    case "unavailable":
    case "deadline_exceeded":
      return {
        text: "The network or the coordinator is slow or away. It is tried again by itself.",
      };
    case "not_found":
      return {
        text: "The coordinator does not have the file that it named. Tell the swarm\u2019s owner.",
      };
    default:
      return {
        text: "It is tried again by itself. If this stays, reload the page or lend less memory.",
      };
  }
}
