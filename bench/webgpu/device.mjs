// WebGPU in Node.js: Dawn's bindings, and ONNX Runtime Web on them as in a tab.
import fs from 'node:fs';
import {createRequire} from 'node:module';
import path from 'node:path';
import {pathToFileURL} from 'node:url';

const web = path.resolve(import.meta.dirname, '../../web');

// `folder`: of the npm package webgpu.
export async function openDevice(folder) {
  const {create, globals} = await import(pathToFileURL(path.join(folder, 'index.js')).href);
  Object.assign(globalThis, globals);
  // It must outlive what comes of it. NVIDIA's float16 is off in Dawn unless asked for.
  globalThis.gpuOfBench = create(['enable-dawn-features=vulkan_enable_f16_on_nvidia']);
  Object.defineProperty(navigator, 'gpu', {value: globalThis.gpuOfBench, configurable: true});
  const adapter = await navigator.gpu.requestAdapter({powerPreference: 'high-performance'});
  if (!adapter) throw new Error('there is no WebGPU adapter: is a Vulkan driver installed?');
  const wanted = ['shader-f16', 'subgroups', 'subgroup-matrix-experimental', 'timestamp-query'];
  const limits = {};
  for (const name of [
    'maxBufferSize',
    'maxStorageBufferBindingSize',
    'maxComputeWorkgroupStorageSize',
    'maxComputeInvocationsPerWorkgroup',
    'maxComputeWorkgroupSizeX',
    'maxStorageBuffersPerShaderStage',
  ]) {
    limits[name] = adapter.limits[name];
  }
  const device = await adapter.requestDevice({
    requiredFeatures: wanted.filter((feature) => adapter.features.has(feature)),
    requiredLimits: limits,
  });
  const {vendor, architecture, device: card, description} = adapter.info;
  return {
    device,
    runsF16: adapter.features.has('shader-f16'),
    name: [vendor, architecture, card, description].filter(Boolean).join(' '),
  };
}

// `folder`: of onnxruntime-web; by default that of web/.
export async function loadOrt(folder) {
  const require = createRequire(path.join(web, 'package.json'));
  const dist = folder ?? path.dirname(require.resolve('onnxruntime-web'));
  const build = 'Suspending' in WebAssembly ? 'jspi' : 'webgpu';
  const name = path.join(dist, `ort.${build}.bundle.min.mjs`);
  if (!fs.existsSync(name)) throw new Error(`${name} is not there: npm ci in web/`);
  const ort = await import(pathToFileURL(name).href);
  ort.env.wasm.numThreads = 1;
  ort.env.logLevel = 'error';
  return ort;
}
