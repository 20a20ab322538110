// A small writer of ONNX files: the protobuf wire format by hand, field numbers of onnx.proto3.

const types = { f32: 1, u8: 2, i32: 6, i64: 7, bool: 9, f16: 10 };

function varint(value) {
  let rest = BigInt.asUintN(64, BigInt(value));
  const bytes = [];
  do {
    const low = Number(rest & 127n);
    rest >>= 7n;
    bytes.push(rest === 0n ? low : low | 128);
  } while (rest !== 0n);
  return Buffer.from(bytes);
}

const tag = (field, wire) => varint(field * 8 + wire);
const int = (field, value) => Buffer.concat([tag(field, 0), varint(value)]);
const bytes = (field, value) => {
  const data = typeof value === "string" ? Buffer.from(value) : value;
  return Buffer.concat([tag(field, 2), varint(data.length), data]);
};
function float(field, value) {
  const data = Buffer.alloc(4);
  data.writeFloatLE(value);
  return Buffer.concat([tag(field, 5), data]);
}

export function f16(value) {
  const [bits] = new Uint32Array(Float32Array.of(value).buffer);
  const sign = (bits >>> 16) & 0x8000;
  const exponent = ((bits >>> 23) & 255) - 112;
  const fraction = bits & 0x7fffff;
  if (exponent >= 31) return sign | 0x7c00;
  if (exponent <= 0) {
    if (exponent < -10) return sign;
    const whole = fraction | 0x800000;
    return sign + Math.round(whole / 2 ** (14 - exponent));
  }
  // Rounds half up; ties do not matter for random weights.
  return sign + ((exponent << 10) | (fraction >>> 13)) + ((fraction >>> 12) & 1);
}

export function f16ToNumber(half) {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >>> 10) & 31;
  const fraction = half & 1023;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

function raw(type, values) {
  switch (type) {
    case "f32":
      return Buffer.from(Float32Array.from(values).buffer);
    case "f16":
      return Buffer.from(Uint16Array.from(values, f16).buffer);
    case "i32":
      return Buffer.from(Int32Array.from(values).buffer);
    case "i64":
      return Buffer.from(BigInt64Array.from(values, (value) => BigInt(value)).buffer);
    default:
      return Buffer.from(Uint8Array.from(values, Number));
  }
}

// `external`: { location, parts } collects the bytes of large tensors for a file of their own.
export function tensor(name, type, dims, values, external) {
  const data = raw(type, values);
  const fields = [...dims.map((dim) => int(1, dim)), int(2, types[type]), bytes(8, name)];
  if (external && data.length >= 256) {
    const offset = external.bytes;
    external.parts.push(data);
    external.bytes += data.length;
    const entries = { location: external.location, offset, length: data.length };
    for (const [key, value] of Object.entries(entries)) {
      fields.push(bytes(13, Buffer.concat([bytes(1, key), bytes(2, String(value))])));
    }
    fields.push(int(14, 1));
  } else {
    fields.push(bytes(9, data));
  }
  return Buffer.concat(fields);
}

function attribute(name, value) {
  const start = bytes(1, name);
  if (value && value.graph) return Buffer.concat([start, bytes(6, value.graph), int(20, 5)]);
  if (value && value.tensor) return Buffer.concat([start, bytes(5, value.tensor), int(20, 4)]);
  if (value && value.float !== undefined) {
    return Buffer.concat([start, float(2, value.float), int(20, 1)]);
  }
  if (typeof value === "string") return Buffer.concat([start, bytes(4, value), int(20, 3)]);
  if (Array.isArray(value)) {
    return Buffer.concat([start, ...value.map((entry) => int(8, entry)), int(20, 7)]);
  }
  return Buffer.concat([start, int(3, value), int(20, 2)]);
}

export function node(op, inputs, outputs, attributes = {}, name = outputs[0], domain = "") {
  return Buffer.concat([
    ...inputs.map((input) => bytes(1, input)),
    ...outputs.map((output) => bytes(2, output)),
    bytes(3, name),
    bytes(4, op),
    ...Object.entries(attributes).map(([key, value]) => bytes(5, attribute(key, value))),
    ...(domain === "" ? [] : [bytes(7, domain)]),
  ]);
}

export function value(name, type, dims) {
  const shape = dims.map((dim) =>
    bytes(1, typeof dim === "number" ? int(1, dim) : bytes(2, dim)),
  );
  const tensorType = Buffer.concat([int(1, types[type]), bytes(2, Buffer.concat(shape))]);
  return Buffer.concat([bytes(1, name), bytes(2, bytes(1, tensorType))]);
}

export function graph(name, { nodes, initializers, inputs, outputs }) {
  return Buffer.concat([
    ...nodes.map((entry) => bytes(1, entry)),
    bytes(2, name),
    ...initializers.map((entry) => bytes(5, entry)),
    ...inputs.map((entry) => bytes(11, entry)),
    ...outputs.map((entry) => bytes(12, entry)),
  ]);
}

export function model(graphBytes, opset = 17) {
  const opsets = [
    ["", opset],
    ["com.microsoft", 1],
  ];
  return Buffer.concat([
    int(1, 8),
    bytes(2, "shoal-test"),
    bytes(7, graphBytes),
    ...opsets.map(([domain, version]) =>
      bytes(8, Buffer.concat([bytes(1, domain), int(2, version)])),
    ),
  ]);
}

// Nodes, constants and random weights of one graph under construction.
export class Builder {
  constructor(seed, external) {
    this.state = seed;
    this.external = external;
    this.nodes = [];
    this.initializers = [];
    this.names = 0;
  }

  random() {
    // mulberry32
    this.state = (this.state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.state ^ (this.state >>> 15), 1 | this.state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  }

  fresh(hint) {
    this.names += 1;
    return `${hint}_${this.names}`;
  }

  constant(name, type, dims, values) {
    this.initializers.push(tensor(name, type, dims, values, this.external));
    return name;
  }

  ints(values, name = this.fresh("onnx::Constant")) {
    return this.constant(name, "i64", [values.length], values);
  }

  // A Constant node, as exporters write them.
  scalar(type, value, dims = []) {
    const name = this.fresh("/Constant");
    this.nodes.push(node("Constant", [], [name], { value: { tensor: tensor("", type, dims, [value]) } }));
    return name;
  }

  weight(name, dims, { scale = 0.3, offset = 0, type = "f32" } = {}) {
    const count = dims.reduce((product, dim) => product * dim, 1);
    const values = Array.from({ length: count }, () => offset + scale * (2 * this.random() - 1));
    return this.constant(name, type, dims, values);
  }

  op(op, inputs, attributes = {}, output = this.fresh(`/${op}`), domain = "") {
    this.nodes.push(node(op, inputs, [output], attributes, output, domain));
    return output;
  }

  microsoft(op, inputs, outputs, attributes = {}) {
    this.nodes.push(node(op, inputs, outputs, attributes, outputs[0], "com.microsoft"));
    return outputs[0];
  }
}
