// What this browser offers to lend with, found by asking it; and what is kept in its storage.

import { byId, el, setText } from "../common/dom.ts";
import { formatSize } from "../common/size.ts";

interface Fact {
  name: string;
  value: string;
  // Worth a hint when it is missing.
  hint?: string;
}

export async function showMachine(): Promise<void> {
  const facts = [await graphics(), threads(), memory(), await storage()];
  byId("machine", HTMLElement).replaceChildren(
    ...facts.map(({ name, value, hint }) =>
      el(
        "div",
        {},
        el("dt", {}, name),
        el("dd", {}, value, ...(hint === undefined ? [] : [el("span", { class: "hint" }, hint)])),
      ),
    ),
  );
}

async function graphics(): Promise<Fact> {
  const name = "Graphics";
  const none = (hint: string): Fact => ({ name, value: "not usable", hint });
  if (!isSecureContext) return none("needs HTTPS");
  const { gpu } = navigator as { gpu?: { requestAdapter(): Promise<GpuAdapter | null> } };
  if (gpu === undefined) return none("this browser has no WebGPU; the processor does the work");
  try {
    const adapter = await gpu.requestAdapter();
    if (adapter === null) return none("no adapter; the processor does the work");
    const { vendor = "", architecture = "" } = adapter.info ?? {};
    const words = [vendor, architecture].filter((word) => word !== "").join(" ");
    return { name, value: words === "" ? "WebGPU" : `WebGPU, ${words}` };
  } catch {
    return none("the browser refused");
  }
}

interface GpuAdapter {
  info?: { vendor?: string; architecture?: string };
}

function threads(): Fact {
  const count = navigator.hardwareConcurrency ?? 1;
  const value = `${count} ${count === 1 ? "core" : "cores"}`;
  if (crossOriginIsolated) return { name: "Processor", value };
  return { name: "Processor", value, hint: "one is used: the page is not isolated" };
}

function memory(): Fact {
  const { deviceMemory } = navigator as { deviceMemory?: number };
  if (deviceMemory === undefined) return { name: "Memory", value: "the browser does not tell" };
  return { name: "Memory", value: `${deviceMemory >= 8 ? "8 GB or more" : `${deviceMemory} GB`}` };
}

async function storage(): Promise<Fact> {
  const name = "Room in storage";
  try {
    const { quota = 0, usage = 0 } = await navigator.storage.estimate();
    return { name, value: formatSize(Math.max(0, quota - usage)) };
  } catch {
    return { name, value: "none", hint: "pieces are fetched at every visit" };
  }
}

// --- Storage -------------------------------------------------------------------------------------

// Bytes of model pieces that this browser keeps for this site. Chats are kept elsewhere.
async function keptBytes(): Promise<number> {
  try {
    const estimate: StorageEstimate & { usageDetails?: Record<string, number> } =
      await navigator.storage.estimate();
    const details = estimate.usageDetails;
    if (details === undefined) return estimate.usage ?? 0;
    return (details["caches"] ?? 0) + (details["fileSystem"] ?? 0);
  } catch {
    return 0;
  }
}

export async function showStorage(): Promise<void> {
  const bytes = await keptBytes();
  setText(byId("kept", HTMLElement), bytes === 0 ? "Nothing is kept." : formatSize(bytes));
  byId("clear-storage", HTMLButtonElement).disabled = bytes === 0;
}

// Removes every piece of a model; chats and settings stay. Throws when the browser refuses, as it
// does while a tab is using them.
export async function clearStorage(): Promise<void> {
  if ("caches" in globalThis) {
    for (const name of await caches.keys()) await caches.delete(name);
  }
  const root = await navigator.storage.getDirectory?.();
  if (root === undefined) return;
  const names: string[] = [];
  for await (const name of (root as unknown as { keys(): AsyncIterable<string> }).keys()) {
    names.push(name);
  }
  for (const name of names) await root.removeEntry(name, { recursive: true });
}
