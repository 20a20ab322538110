// @shoal/volunteer: lends the tab of a page's visitor to a coordinator, with the visitor's consent
// and within limits that this code keeps.

import { ownStorage } from "../app/common/access.ts";
import { Lender } from "../app/lend/lender.ts";
import { SurroundingsWatch } from "../app/lend/surroundings.ts";
import { Tally } from "../app/lend/tally.ts";
import { readLimits } from "../volunteer/limits.ts";
import { Volunteer, type VolunteerEvent } from "../volunteer/volunteer.ts";
import { askConsent } from "./consent.ts";
import type { Lending, LendLimits, LendOptions, LendState } from "./types.ts";

export type * from "./types.ts";

const lookEveryMs = 15_000;
const memoryDefault = 256 * 1024 * 1024;
const memoryMin = 16 * 1024 * 1024;

const carefulLimits: LendLimits = {
  timeShare: 0.5,
  dataBytesPerDay: 1024 ** 3,
  fromMinute: 0,
  toMinute: 0,
  whenHidden: true,
  onBattery: false,
  onMetered: false,
};

export async function lend(options: LendOptions): Promise<Lending | undefined> {
  const url = new URL(options.coordinator);
  if (url.protocol !== "https:" && url.protocol !== "http:") {
    throw new TypeError(`coordinator is an http(s) address, not ${options.coordinator}`);
  }
  const memoryBytes = options.memoryBytes ?? memoryDefault;
  if (!(memoryBytes >= memoryMin)) throw new TypeError("memoryBytes is at least 16 MB");
  const ask = options.consent ?? (() => askConsent(url.host));
  if (!(await ask())) return undefined;
  return start(url.origin, memoryBytes, options);
}

function start(origin: string, memoryBytes: number, options: LendOptions): Lending {
  const storage = ownStorage();
  const tally = new Tally(storage, () => new Date().toLocaleDateString("sv"));
  const surroundings = new SurroundingsWatch(() => lender.update());
  const limits = readLimits({ ...carefulLimits, ...options.limits });
  const tell = (state: LendState): void => options.onState?.(state);
  let bytes = 0;
  const onEvent = (event: VolunteerEvent): void => {
    if (event.kind === "data") {
      tally.add(event.bytes - bytes, 0);
      bytes = event.bytes;
      if (event.isSpent) tally.useUp(limits.dataBytesPerDay);
      lender.update();
    } else if (event.kind === "holding") {
      const { first, last } = event;
      tell({ kind: "lending", blocks: first < last ? [first, last] : undefined });
    } else if (event.kind === "problem") {
      options.onProblem?.(event.detail);
    }
  };
  const lender = new Lender(
    {
      start: (onEnded) => {
        bytes = 0;
        const dataBytesLeft = Math.max(0, limits.dataBytesPerDay - tally.dataBytesToday);
        const volunteer = Volunteer.start(
          {
            url: origin,
            memoryBytes,
            timeShare: limits.timeShare,
            dataBytesLeft,
            joinSecret: options.joinSecret ?? "",
          },
          (event) => {
            onEvent(event);
            if (event.kind !== "state") return;
            if (event.state === "refused") options.onProblem?.(event.detail);
            if (event.state === "stopped" || event.state === "refused") {
              onEnded(event.state === "refused");
            }
          },
        );
        return volunteer;
      },
      surroundings: () => surroundings.now(tally.dataBytesToday),
      onState: (state) => tell(state.kind === "lending" ? { ...state, blocks: undefined } : state),
    },
    limits,
  );
  const looking = setInterval(() => lender.update(), lookEveryMs);
  void surroundings.findBattery().then(() => lender.start());
  return {
    pause: () => lender.pause(),
    resume: () => lender.resume(),
    leave: () => {
      clearInterval(looking);
      lender.leave();
    },
  };
}
