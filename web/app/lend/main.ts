// The lend page: starts, pauses and stops the volunteer of this tab, keeps to its owner's limits,
// and shows what it does.

import { Volunteer, type VolunteerEvent } from "../../volunteer/volunteer.ts";
import { ownStorage } from "../common/access.ts";
import { byId, setText } from "../common/dom.ts";
import { SwarmMap } from "../common/map.ts";
import { SwarmPicture } from "../common/picture.ts";
import { unheldRanges, watchStatus } from "../common/status.ts";
import { adviceFor } from "./advice.ts";
import { Awake } from "./awake.ts";
import { Lender, type Lendable } from "./lender.ts";
import { LimitsForm } from "./limits_form.ts";
import { clearPieces, showMachine, showStorage } from "./machine.ts";
import { memoryDefault, readLendRequest, type LendRequest } from "./request.ts";
import { SurroundingsWatch } from "./surroundings.ts";
import { Tally } from "./tally.ts";
import { threadsOffered } from "./threads.ts";
import { LendView } from "./view.ts";

const lookEveryMs = 15_000;
const consentKey = "shoal-lend-consent";

const storage = ownStorage();

const start = byId("start", HTMLButtonElement);
const consent = byId("consent", HTMLInputElement);
const view = new LendView();
const map = new SwarmMap(byId("map", HTMLElement));
const picture = new SwarmPicture(byId("picture", HTMLElement), {
  lanesMax: 8,
  heightMaxPx: 160,
  // The device is lent to compute, and where no GPU draws, drawing takes from that.
  pulsesPerSecondMax: 1 / 3,
});
const awake = new Awake();
const tally = new Tally(storage, () => new Date().toLocaleDateString("sv"));
const surroundings = new SurroundingsWatch(() => lender.update());

function readRequest(): LendRequest | undefined {
  try {
    return readLendRequest(new URL(location.href));
  } catch (thrown) {
    view.problem(thrown instanceof Error ? thrown.message : String(thrown));
    return undefined;
  }
}

const request = readRequest();
const named = new URLSearchParams(location.search).has("memory");
const form = new LimitsForm(
  storage,
  request?.memoryBytes ?? memoryDefault,
  threadsOffered(navigator.hardwareConcurrency ?? 1, crossOriginIsolated),
  { onLimits: (limits) => lender.setLimits(limits) },
);
if (named && request !== undefined) form.memoryBytes = request.memoryBytes;

const lender = new Lender(
  {
    start: startVolunteer,
    surroundings: () => surroundings.now(tally.dataBytesToday),
    onState: (state) => {
      view.showLender(state);
      form.isRunning = state.kind !== "off";
      if (state.kind === "lending") awake.hold();
      else awake.release();
      if (state.kind === "off") void showStorage();
    },
  },
  form.read(),
);

// --- The volunteer -------------------------------------------------------------------------------

function startVolunteer(onEnded: (refused: boolean) => void): Lendable {
  view.reset();
  const { executor, threads, joinSecret } = request!;
  const { timeShare, dataBytesPerDay } = lender.limits;
  const count = new Count();
  return Volunteer.start(
    {
      url: location.origin,
      executor,
      threads: threads ?? form.threads,
      joinSecret,
      memoryBytes: form.memoryBytes,
      timeShare,
      dataBytesLeft: Math.max(0, dataBytesPerDay - tally.dataBytesToday),
    },
    (event) => {
      view.show(event);
      count.on(event);
      if (event.kind === "problem") showProblem(event);
      if (event.kind === "holding") void showStorage();
      if (event.kind !== "state") return;
      map.own = event.node;
      // Usually the problem behind it has been told already.
      if (event.state === "refused" && !view.hasProblem) view.problem(event.detail);
      if (event.state !== "stopped" && event.state !== "refused") return;
      map.own = 0;
      onEnded(event.state === "refused");
    },
  );
}

// Adds to the tally what one volunteer has done since it was last heard.
class Count {
  #bytes = 0;
  #rows = 0;

  on(event: VolunteerEvent): void {
    if (event.kind === "data") {
      tally.add(event.bytes - this.#bytes, 0);
      this.#bytes = event.bytes;
      if (event.isSpent) tally.useUp(lender.limits.dataBytesPerDay);
      lender.update();
    } else if (event.kind === "counters") {
      tally.add(0, (event.counters.rows - this.#rows) * view.layers);
      this.#rows = event.counters.rows;
    } else {
      return;
    }
    view.showTally(tally.tokenLayers, tally.dataBytesToday);
  }
}

function showProblem({ code, detail }: VolunteerEvent & { kind: "problem" }): void {
  const circumstances = {
    isOnline: navigator.onLine,
    isSecure: isSecureContext,
    memoryBytes: form.memoryBytes,
  };
  const advice = adviceFor(code, detail, circumstances);
  view.problem(detail, advice, () => {
    lender.leave();
    form.memoryBytes = advice.lessBytes!;
    lender.start();
  });
}

// --- Controls ------------------------------------------------------------------------------------

function showConsent(): void {
  start.disabled = request === undefined || !consent.checked;
}

consent.checked = storage?.getItem(consentKey) === "yes";
showConsent();
consent.addEventListener("change", () => {
  showConsent();
  try {
    if (consent.checked) storage?.setItem(consentKey, "yes");
    else storage?.removeItem(consentKey);
  } catch {
    // It holds for this visit.
  }
});
byId("form", HTMLFormElement).addEventListener("submit", (event) => {
  event.preventDefault();
  if (!start.disabled) lender.start();
});
byId("pause", HTMLButtonElement).addEventListener("click", () => lender.pause());
byId("resume", HTMLButtonElement).addEventListener("click", () => lender.resume());
byId("stop", HTMLButtonElement).addEventListener("click", () => lender.leave());
byId("clear-storage", HTMLButtonElement).addEventListener("click", () => {
  void clearPieces().then((told) => {
    setText(byId("cleared", HTMLElement), told);
    void showStorage();
  });
});

if (!isSecureContext) {
  view.problem(
    "Browsers compute for others only on https:// and on localhost.",
    adviceFor("internal", "", {
      isOnline: true,
      isSecure: false,
      memoryBytes: form.memoryBytes,
    }),
  );
  byId("status-card", HTMLElement).hidden = false;
}
view.showLender({ kind: "off" });
view.showTally(tally.tokenLayers, tally.dataBytesToday);
if (request?.auto === true) lender.start();
setInterval(() => lender.update(), lookEveryMs);
void showMachine();
void showStorage();
void surroundings.findBattery().then((battery) => {
  form.offer({ battery, network: surroundings.tellsNetwork });
  lender.update();
});

watchStatus((status) => {
  map.show(status);
  picture.own = map.own;
  picture.show(status);
  // What moves costs time, too: whoever limits it gets none of that.
  picture.tokensPerSecond = lender.limits.timeShare < 1 ? 0 : (status?.tokensPerSecond ?? 0);
  view.blocks = status?.blocks ?? 0;
  const own = status?.volunteers.find(({ id }) => id === map.own);
  if (own !== undefined) view.showOwn(own, unheldRanges(status!).length > 0);
  setText(byId("model", HTMLElement), status?.model ?? "");
});
