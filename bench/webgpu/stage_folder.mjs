// A stage as `shoal stage` writes it. Weights that are not there are made up: random codes, with
// scales that keep hidden states in their order of magnitude.
import fs from 'node:fs';
import path from 'node:path';

import {externalTensors} from './onnx_file.mjs';

const types = {f32: 1, u8: 2, f16: 10};

function fill(bytes, type, name) {
  if (type === types.u8) {
    const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength >>> 2);
    let state = 0x9e3779b9 ^ bytes.length;
    for (let i = 0; i < words.length; ++i) {
      state ^= state << 13;
      state ^= state >>> 17;
      state ^= state << 5;
      words[i] = state;
    }
  } else if (type === types.f16) {
    new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.byteLength >>> 1).fill(0x1800);  // 0.002
  } else {
    const value = name.startsWith('sin_') ? 0 : 1;
    new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength >>> 2).fill(value);
  }
}

export function readStage(folder) {
  const stage = JSON.parse(fs.readFileSync(path.join(folder, 'stage.json'), 'utf8'));
  const graph = fs.readFileSync(path.join(folder, stage.graph));
  const tensors = externalTensors(graph);
  const weights = new Map();
  for (const {location, bytes} of stage.weights) {
    const file = path.join(folder, location);
    if (fs.existsSync(file)) {
      weights.set(location, new Uint8Array(fs.readFileSync(file)));
      continue;
    }
    const made = new Uint8Array(bytes);
    for (const tensor of tensors.filter((t) => t.location === location)) {
      fill(made.subarray(tensor.offset, tensor.offset + tensor.length), tensor.type, tensor.name);
    }
    weights.set(location, made);
  }
  return {...stage, graph, weights, bytes: stage.weights.reduce((sum, w) => sum + w.bytes, 0)};
}
