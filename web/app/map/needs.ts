// What is missing before the model can answer, in devices that somebody may have.

import { formatSize } from "../common/size.ts";

export interface Device {
  name: string;
  memoryBytes: number;
}

const gb = 1024 ** 3;

// What such a device can lend from a browser tab without trouble.
export const devices: Device[] = [
  { name: "phone", memoryBytes: 0.5 * gb },
  { name: "laptop", memoryBytes: 2 * gb },
  { name: "desktop with a graphics card", memoryBytes: 8 * gb },
];

// Of the lent memory: taken by the executor, and left for conversations.
const overheadBytes = 48 * 1024 * 1024;
const weightsShare = 0.8;

// How many devices of this size hold so many bytes of weights; at least one.
export function devicesFor(missingBytes: number, { memoryBytes }: Device): number {
  const usable = Math.max(1, (memoryBytes - overheadBytes) * weightsShare);
  return Math.max(1, Math.ceil(missingBytes / usable));
}

// "3 phones (512 MB each)", as choices; larger devices only as long as they make a difference.
export function describeNeeds(missingBytes: number): string[] {
  const needs: string[] = [];
  for (const device of devices) {
    const count = devicesFor(missingBytes, device);
    const [first = "", ...rest] = device.name.split(" ");
    const name = [count === 1 ? first : `${first}s`, ...rest].join(" ");
    const each = count === 1 ? "" : " each";
    const size = formatSize(device.memoryBytes);
    needs.push(`${count.toLocaleString("en-US")} ${name} (${size}${each})`);
    if (count === 1) break;
  }
  return needs;
}
