// Products of 1, 2 or 4 rows with q4 weights, for WebAssembly; declared in block_kernels_wasm.cc.
//
// In assembly, because V8 keeps the order of the instructions that it is given and has fifteen
// vector registers: of the same loop in C++ clang sorts the instructions so that sums are spilled
// in every group of codes. Everything that is live fits into registers here, but for the sums of
// floats, which rest on the stack while a block's codes are multiplied. docs/engine.md has the
// figures.
//
// A block's groups of codes are unrolled: offsets are constants then, and V8 shares the addresses
// that rows have in common.

#if defined(__wasm_relaxed_simd__)
#define ROW_BYTES 40  // sizeof(RowBlock).
#define ROW_SCALE 32
#define ROW_START 36
#define STEPS 2
#define STEP_LIST 0, 1
#define NIBBLE_MASK 0x0f0f0f0f
#else
#define ROW_BYTES 72  // sizeof(WideRowBlock).
#define ROW_SCALE 64
#define ROW_START 68
#define STEPS 4
#define STEP_LIST 0, 1, 2, 3
#define NIBBLE_MASK 0x000f000f
#endif
#define V128_X4 v128, v128, v128, v128
#define V128_X16 V128_X4, V128_X4, V128_X4, V128_X4
#define STEP_BYTES 4           // Of a row's codes.
#define GROUP_BYTES 64       // kTileColumns * 4.
#define BLOCK_SCALES_BYTES 32  // kTileColumns f16.

// Parameters and locals of every kernel.
#define W 0            // Codes of the first column, those of further blocks BLOCK_BYTES apart.
#define W_SCALES 1
#define FIRST_ROW 2    // Its blocks; further rows are ROW_STRIDE bytes apart.
#define ROW_STRIDE 3
#define BLOCKS 4
#define BLOCK_BYTES 5
#define OUT 6          // [rows][4 * vectors] floats, rows OUT_STRIDE bytes apart.
#define OUT_STRIDE 7
#define X 8            // Four rows' blocks.
#define NIBBLES 12
#define ONES 13
#define SCALE_BITS 14
#define SCALE_FACTOR 15
#define RAW 16         // Of four vectors of columns: codes as they are stored,
#define WEIGHTS 20     // those of one step, one to a lane, and in the end scales.
#define CODES 24       // Of one row, or of two: [row][step]; splat.
#define SUMS 32        // [row][vector]: of a block, in integers,
#define TOTALS 48      // and of the row.

	.altmacro

	.macro get which
	local.get \which
	.endm
	.macro set which
	local.set \which
	.endm
	.macro push number
	i32.const \number
	.endm
	.macro load offset
	v128.load \offset:p2align=2
	.endm
	.macro load_scales offset
	i32x4.load16x4_s \offset:p2align=1
	.endm
	.macro store offset
	v128.store \offset:p2align=2
	.endm
	.macro load_splat row offset
	get %(X + \row)
	v128.load32_splat \offset:p2align=2
	.endm

// In what follows: kind is 0 for i32x4.dot_i16x8, 1 for i16x8.relaxed_dot_i8x16_i7x16, 2 for
// i32x4.relaxed_dot_i8x16_i7x16_add; a step is what one dot multiplies.

	.macro load_raw group, vector
	get W
	load %(\group * GROUP_BYTES + \vector * 16)
	set %(RAW + \vector)
	.endm

// The weights of one step, out of RAW. With relaxed SIMD bytes: the low nibbles, then the high
// ones. Without it 16-bit numbers: one nibble of every pair of bytes.
	.macro unpack vector, step
	get %(RAW + \vector)
	.if \step > 0
	push %(4 * \step)
	i16x8.shr_u
	.endif
	.if \step < 3
	get NIBBLES
	v128.and
	.endif
	set %(WEIGHTS + \vector)
	.endm

	.macro load_codes row, group, step, place
	load_splat \row, %((\group * STEPS + \step) * STEP_BYTES)
	set %(CODES + \place)
	.endm

// Adds to the sums of one row and vector.
	.macro multiply kind, row, vector, place
	.if \kind == 2
	get %(CODES + \place)
	get %(WEIGHTS + \vector)
	get %(SUMS + \row * 4 + \vector)
	i32x4.relaxed_dot_i8x16_i7x16_add_s
	.else
	get %(SUMS + \row * 4 + \vector)
	get %(CODES + \place)
	get %(WEIGHTS + \vector)
	.if \kind == 1
	i16x8.relaxed_dot_i8x16_i7x16_s
	i16x8.add
	.else
	i32x4.dot_i16x8_s
	i32x4.add
	.endif
	.endif
	set %(SUMS + \row * 4 + \vector)
	.endm

// Weights of all vectors are taken out for a step, and every row's codes are loaded once: nothing
// but one row's codes waits, so that four rows fit.
	.macro multiply_by_step kind, rows, vectors, group
	.irp v, \vectors
	load_raw \group, \v
	.endr
	.irp s, STEP_LIST
	.irp v, \vectors
	unpack \v, \s
	.endr
	.irp r, \rows
	load_codes \r, \group, \s, 0
	.irp v, \vectors
	multiply \kind, \r, \v, 0
	.endr
	.endr
	.endr
	.endm

// All rows' codes of the group wait, and vectors come one after the other: for few rows, and as
// many vectors as a tile has.
	.macro multiply_by_vector kind, rows, vectors, group
	.irp s, STEP_LIST
	.irp r, \rows
	load_codes \r, \group, \s, %(\r * STEPS + \s)
	.endr
	.endr
	.irp v, \vectors
	load_raw \group, \v
	.irp s, STEP_LIST
	unpack \v, \s
	.irp r, \rows
	multiply \kind, \r, \v, %(\r * STEPS + \s)
	.endr
	.endr
	.endr
	.endm

// Sums begin at -8 times the sum of the row's codes, which takes the nibbles' zero to where it
// belongs.
	.macro start_row kind, row, vectors
	load_splat \row, ROW_START
	.if \kind == 2
	get ONES
	i32x4.dot_i16x8_s  // A column's two halves, together.
	.endif
	set CODES
	.irp v, \vectors
	get CODES
	set %(SUMS + \row * 4 + \v)
	.endr
	.endm

// Finite f16 to floats: exponent and mantissa move to their places, which leaves the exponent 112
// too small; a product with 2^112 is exact.
	.macro widen_scales vector
	get W_SCALES
	load_scales %(\vector * 8)
	push 13
	i32x4.shl
	get SCALE_BITS
	v128.and
	get SCALE_FACTOR
	f32x4.mul
	set %(WEIGHTS + \vector)
	.endm

	.macro finish_row kind, row, vectors
	load_splat \row, ROW_SCALE
	set CODES
	.irp v, \vectors
	get %(TOTALS + \row * 4 + \v)
	get %(SUMS + \row * 4 + \v)
	.if \kind == 1
	get ONES
	i32x4.dot_i16x8_s
	.endif
	f32x4.convert_i32x4_s
	get %(WEIGHTS + \v)
	get CODES
	f32x4.mul
	f32x4.mul
	f32x4.add
	set %(TOTALS + \row * 4 + \v)
	.endr
	.endm

	.macro add_to which, bytes
	get \which
	push \bytes
	i32.add
	set \which
	.endm

	.macro prepare_row row, vectors
	get FIRST_ROW
	get ROW_STRIDE
	push \row
	i32.mul
	i32.add
	set %(X + \row)
	.irp v, \vectors
	v128.const 0, 0, 0, 0
	set %(TOTALS + \row * 4 + \v)
	.endr
	.endm

	.macro store_row row, vectors
	.irp v, \vectors
	get OUT
	get %(TOTALS + \row * 4 + \v)
	store %(\v * 16)
	.endr
	get OUT
	get OUT_STRIDE
	i32.add
	set OUT
	.endm

	.macro kernel name, kind, rows, vectors, multiply
	.section .text.\name,"",@
	.globl \name
	.type \name,@function
\name:
	.functype \name (i32, i32, i32, i32, i32, i32, i32, i32) -> ()
	.local i32, i32, i32, i32, V128_X4, V128_X16, V128_X16, V128_X16
	.irp c, 0, 1, 2, 3
	i32.const q4_constants
	load %(\c * 16)
	set %(NIBBLES + \c)
	.endr
	.irp r, \rows
	prepare_row \r, <\vectors>
	.endr
	block
	loop
	get BLOCKS
	i32.eqz
	br_if 1
	.irp r, \rows
	start_row \kind, \r, <\vectors>
	.endr
	.irp g, 0, 1, 2, 3
	\multiply \kind, <\rows>, <\vectors>, \g
	.endr
	.irp v, \vectors
	widen_scales \v
	.endr
	.irp r, \rows
	finish_row \kind, \r, <\vectors>
	add_to %(X + \r), ROW_BYTES
	.endr
	get W
	get BLOCK_BYTES
	i32.add
	set W
	add_to W_SCALES, BLOCK_SCALES_BYTES
	add_to BLOCKS, -1
	br 0
	end_loop
	end_block
	.irp r, \rows
	store_row \r, <\vectors>
	.endr
	end_function
	.endm

	.macro splat_int32 value
	.rept 4
	.int32 \value
	.endr
	.endm
	.section .rodata.q4_constants,"",@
	.p2align 4
q4_constants:
	splat_int32 NIBBLE_MASK
	splat_int32 0x10001
	splat_int32 0x8fffffff  // All of a float's bits but those that widening fills with signs.
	splat_int32 0x77800000  // 2^112.
	.size q4_constants, 64

#if defined(__wasm_relaxed_simd__)
	kernel ShoalQ4Dot1, 1, <0>, <0, 1, 2, 3>, multiply_by_vector
	kernel ShoalQ4Dot2, 1, <0, 1>, <0, 1, 2, 3>, multiply_by_vector
	kernel ShoalQ4Dot4, 1, <0, 1, 2, 3>, <0, 1>, multiply_by_step
	kernel ShoalQ4DotAdd1, 2, <0>, <0, 1, 2, 3>, multiply_by_vector
	kernel ShoalQ4DotAdd2, 2, <0, 1>, <0, 1, 2, 3>, multiply_by_vector
	kernel ShoalQ4DotAdd4, 2, <0, 1, 2, 3>, <0, 1>, multiply_by_step
#else
	kernel ShoalQ4Plain1, 0, <0>, <0, 1, 2, 3>, multiply_by_vector
	kernel ShoalQ4Plain2, 0, <0, 1>, <0, 1>, multiply_by_step
	kernel ShoalQ4Plain4, 0, <0, 1, 2, 3>, <0, 1>, multiply_by_step
#endif

	.section .custom_section.target_features,"",@
#if defined(__wasm_relaxed_simd__)
	.int8 2
	.int8 43
	.int8 12
	.ascii "relaxed-simd"
#else
	.int8 1
#endif
	.int8 43
	.int8 7
	.ascii "simd128"
