// The swarm of this moment in a few figures.

import { plural } from "../common/dom.ts";
import { formatSize } from "../common/size.ts";
import type { Status } from "../common/status.ts";

export interface Figure {
  name: string;
  value: string;
  note: string;
}

export function figuresOf(status: Status): Figure[] {
  return [speed(status), token(status), people(status), lent(status)];
}

function speed({ tokensPerSecond, sessions }: Status): Figure {
  const note = sessions === 0 ? "no answer under way" : `${plural(sessions, "answer")} under way`;
  return { name: "Speed", value: `${tokensPerSecond.toFixed(1)} tokens/s`, note };
}

// What the plan said beside what it came to.
function token({ predictedTokenMs, measuredTokenMs }: Status): Figure {
  const name = "One token takes";
  if (measuredTokenMs === 0) {
    const value = predictedTokenMs === 0 ? "\u2013" : describeMs(predictedTokenMs);
    return { name, value, note: predictedTokenMs === 0 ? "not known yet" : "predicted" };
  }
  const value = describeMs(measuredTokenMs);
  if (predictedTokenMs === 0) return { name, value, note: "measured" };
  const off = Math.round((100 * (predictedTokenMs - measuredTokenMs)) / measuredTokenMs);
  const sign = off > 0 ? "+" : off < 0 ? "\u2212" : "\u00b1";
  const predicted = describeMs(predictedTokenMs);
  return { name, value, note: `predicted ${predicted} (${sign}${Math.abs(off)}\u00a0%)` };
}

function describeMs(ms: number): string {
  return ms < 10 ? `${ms.toFixed(1)} ms` : ms < 1000 ? `${Math.round(ms)} ms` : seconds(ms);
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}

function people({ volunteers }: Status): Figure {
  const count = (state: string): number =>
    volunteers.filter((volunteer) => volunteer.state === state).length;
  const parts = [`${count("ready")} ready`];
  if (count("loading") > 0) parts.push(`${count("loading")} loading`);
  if (count("spare") > 0) parts.push(`${count("spare")} spare`);
  const note = volunteers.length === 0 ? "nobody yet" : parts.join(", ");
  return { name: "Volunteers", value: String(volunteers.length), note };
}

function lent({ volunteers }: Status): Figure {
  const bytes = volunteers.reduce((sum, { memoryBytes }) => sum + memoryBytes, 0);
  const note = volunteers.length === 0 ? "" : `${formatSize(bytes / volunteers.length)} each`;
  return { name: "Memory lent", value: bytes === 0 ? "none" : formatSize(bytes), note };
}
