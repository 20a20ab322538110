// The GPU as this thread gets it: an adapter, and a device with all that ONNX Runtime can use.

import { ShoalError } from "../../core/index.ts";

// After its process has died, a browser gives no adapter for a moment.
const attemptsMax = 10;
const retryMs = 500;

const features = ["shader-f16", "subgroups", "timestamp-query"] as const;
// Those of an adapter that exceed what every device has.
const limits = [
  "maxBufferSize",
  "maxStorageBufferBindingSize",
  "maxComputeWorkgroupStorageSize",
  "maxComputeInvocationsPerWorkgroup",
  "maxComputeWorkgroupSizeX",
  "maxStorageBuffersPerShaderStage",
] as const;

// Undefined in a browser, or on a machine, that has none.
export async function findAdapter(): Promise<GPUAdapter | undefined> {
  const adapter = await navigator.gpu?.requestAdapter({ powerPreference: "high-performance" });
  return adapter ?? undefined;
}

// Whether graphs that compute in float16 run here. The caches are read and written as Float16Array.
export function runsF16(adapter: GPUAdapter): boolean {
  return adapter.features.has("shader-f16") && "Float16Array" in globalThis;
}

// `onBroken` is called when the device is lost, or has refused a command: what was computed since
// may be wrong, and nothing more can be computed on it.
export async function openDevice(onBroken: (detail: string) => void): Promise<GPUDevice> {
  let adapter = await findAdapter();
  for (let attempt = 1; !adapter && "gpu" in navigator && attempt < attemptsMax; ++attempt) {
    await new Promise((resolve) => setTimeout(resolve, retryMs));
    adapter = await findAdapter();
  }
  if (adapter === undefined) {
    const detail = "this browser gives no WebGPU adapter; use another executor";
    throw new ShoalError("unimplemented", detail);
  }
  const { features: has, limits: largest } = adapter;
  const device = await adapter.requestDevice({
    requiredFeatures: features.filter((feature) => has.has(feature)),
    requiredLimits: Object.fromEntries(limits.map((name) => [name, largest[name]])),
  });
  void device.lost.then(({ message }) => onBroken(`the GPU device was lost: ${message}`));
  device.addEventListener("uncapturederror", ({ error }) =>
    onBroken(`the GPU refused a command: ${error.message}`),
  );
  return device;
}
