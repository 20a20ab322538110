// What this browser offers to lend with, found by asking it; and what is kept in its storage.

import { clearStorage, storageUse } from "../../volunteer/cache/storage.ts";
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

export async function showStorage(): Promise<void> {
  const bytes = (await storageUse().catch(() => undefined))?.bytes ?? 0;
  setText(byId("kept", HTMLElement), bytes === 0 ? "Nothing is kept." : formatSize(bytes));
  byId("clear-storage", HTMLButtonElement).disabled = bytes === 0;
}

// Removes every piece that no tab is using, and says what is left.
export async function clearPieces(): Promise<string> {
  try {
    await clearStorage();
    const left = (await storageUse())?.bytes ?? 0;
    return left === 0 ? "Cleared." : "What a tab is using stays: leave first, then clear.";
  } catch {
    return "The browser did not let us clear it.";
  }
}
