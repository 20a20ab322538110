// What bounds the engine's products in a browser: how many multiply-adds a second the inner dot and
// the addition of its result reach, with nothing to load, to unpack or to scale. In the page; the
// module is put together here, since no compiler may take the loop apart.

const SUMS = 12;  // As many chains as hide the latencies.
const STEPS = 20_000;

const DOTS = {
  relaxed: {dot: [0xfd, 0x92, 0x02], add: [0xfd, 0x8e, 0x01], terms: 16},  // i8x16 by i7x16.
  plain: {dot: [0xfd, 0xba, 0x01], add: [0xfd, 0xae, 0x01], terms: 8},  // i16x8.
};

const section = (id, bytes) => [id, ...leb(bytes.length), ...bytes];
const get = (local) => [0x20, local];
const set = (local) => [0x21, local];

function leb(value) {
  const bytes = [];
  for (; value >= 128; value >>>= 7) bytes.push(value & 127 | 128);
  return [...bytes, value];
}

// (steps) -> a lane of the sums. Locals: the steps left, the sums, the other operand.
function program({dot, add}) {
  const other = SUMS + 1;
  const body = [1, ...leb(SUMS + 1), 0x7b];  // v128 locals.
  body.push(0x41, 3, 0xfd, 0x0f, ...set(other));  // i8x16.splat 3
  for (let i = 1; i <= SUMS; ++i) body.push(0x41, i, 0xfd, 0x0f, ...set(i));
  body.push(0x03, 0x40);  // loop
  for (let i = 1; i <= SUMS; ++i) {
    body.push(...get(i), ...get(i % SUMS + 1), ...get(other), ...dot, ...add, ...set(i));
  }
  body.push(...get(0), 0x41, 1, 0x6b, 0x22, 0, 0x0d, 0, 0x0b);  // Again while any step is left.
  for (let i = 2; i <= SUMS; ++i) body.push(...get(1), ...get(i), ...add, ...set(1));
  body.push(...get(1), 0xfd, 0x1b, 0, 0x0b);  // i32x4.extract_lane 0
  return Uint8Array.from([
    0, 0x61, 0x73, 0x6d, 1, 0, 0, 0,
    ...section(1, [1, 0x60, 1, 0x7f, 1, 0x7f]), ...section(3, [1, 0]),
    ...section(7, [1, 1, 0x66, 0, 0]), ...section(10, [1, ...leb(body.length), ...body]),
  ]);
}

// Billions of multiply-adds a second, the best of many runs.
export async function measureDots(kind) {
  const {instance} = await WebAssembly.instantiate(program(DOTS[kind]));
  let least = Infinity;
  for (let i = 0; i < 400; ++i) {
    const start = performance.now();
    for (let j = 0; j < 20; ++j) instance.exports.f(STEPS);
    least = Math.min(least, (performance.now() - start) / 20);
  }
  return STEPS * SUMS * DOTS[kind].terms / least / 1e6;
}
