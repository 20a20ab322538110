// The lend page: starts and stops the volunteer of this tab and shows what it does.

import { Volunteer, type VolunteerState } from "../../volunteer/volunteer.ts";
import { byId, el } from "../common/dom.ts";
import { SwarmMap } from "../common/map.ts";
import { formatSize, parseSize } from "../common/size.ts";
import { watchStatus } from "../common/status.ts";
import { Awake } from "./awake.ts";
import { memoryDefault, readLendRequest, type LendRequest } from "./request.ts";
import { LendView } from "./view.ts";

const memoryChoices = ["128M", "256M", "512M", "1G", "2G", "3G"].map((text) => parseSize(text)!);

const form = byId("form", HTMLFormElement);
const memory = byId("memory", HTMLSelectElement);
const start = byId("start", HTMLButtonElement);
const stop = byId("stop", HTMLButtonElement);
const view = new LendView();
const map = new SwarmMap(byId("map", HTMLElement));
const awake = new Awake();
let volunteer: Volunteer | undefined;

function readRequest(): LendRequest | undefined {
  try {
    return readLendRequest(new URL(location.href));
  } catch (thrown) {
    view.problem(thrown instanceof Error ? thrown.message : String(thrown));
    return undefined;
  }
}

function fillMemory(chosen: number): void {
  const sizes = [...new Set([...memoryChoices, chosen])].sort((a, b) => a - b);
  memory.replaceChildren(
    ...sizes.map((size) =>
      el("option", { value: size, selected: size === chosen }, formatSize(size)),
    ),
  );
}

function lend(request: LendRequest): void {
  if (volunteer !== undefined) return;
  view.reset();
  setRunning(true);
  awake.hold();
  const { executor, threads, joinSecret } = request;
  const options = { url: location.origin, executor, threads, joinSecret };
  volunteer = Volunteer.start({ ...options, memoryBytes: Number(memory.value) }, (event) => {
    view.show(event);
    if (event.kind === "state") {
      map.own = event.node;
      if (isFinal(event.state)) onEnded();
    }
  });
}

function isFinal(state: VolunteerState): boolean {
  return state === "stopped" || state === "refused";
}

function onEnded(): void {
  volunteer = undefined;
  map.own = 0;
  awake.release();
  setRunning(false);
}

function setRunning(running: boolean): void {
  start.hidden = running;
  stop.hidden = !running;
  stop.disabled = false;
  memory.disabled = running;
}

const request = readRequest();
fillMemory(request?.memoryBytes ?? memoryDefault);
start.disabled = request === undefined;
form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (request !== undefined) lend(request);
});
stop.addEventListener("click", () => {
  stop.disabled = true;
  volunteer?.stop();
});
if (request?.auto === true) lend(request);

watchStatus((status) => {
  map.show(status);
  view.blocks = status?.blocks ?? 0;
  byId("model", HTMLElement).textContent = status?.model ?? "";
});
