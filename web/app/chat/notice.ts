// What stands above the message box while the swarm cannot answer.

import { el, type Child } from "../common/dom.ts";
import { formatSize } from "../common/size.ts";
import { isArriving, type Status } from "../common/status.ts";

// Undefined when all is well.
export function noticeFor(status: Status | undefined): Child[] | undefined {
  if (status === undefined) return ["The coordinator does not answer. Trying again\u2026"];
  if (status.ready) return undefined;
  const lend = el("a", { href: "/lend", target: "_blank", rel: "noopener" }, "Lend this tab");
  if (isArriving(status)) {
    const left = status.missingBytes > 0 ? ` (${formatSize(status.missingBytes)} to go)` : "";
    return [`The volunteers are loading their pieces of the model${left}\u2026`];
  }
  if (status.missingBytes > 0) {
    const missing = formatSize(status.missingBytes);
    return [el("strong", {}, "Not enough volunteers"), ` \u2014 ${missing} missing. `, lend];
  }
  if (status.volunteers.length === 0) {
    return [el("strong", {}, "Nobody is lending a tab yet."), " ", lend];
  }
  if (status.detail !== "") return [status.detail, " ", lend];
  return [el("strong", {}, "Not enough volunteers yet."), " ", lend];
}
