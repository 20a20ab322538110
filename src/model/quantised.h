// Quantised checkpoints: config.json's quantization_config, and the tensors that it describes.
#pragma once

#include <string>

#include "base/result.h"
#include "model/json.h"
#include "model/stored_tensors.h"

namespace shoal::model {

// Puts one tensor with an encoding in the place of the stored parts of every quantised one, under
// the name and of the shape that the unquantised checkpoint has it. A checkpoint without
// quantization_config is left as it is. kUnimplemented names a method or an option that is not
// supported; kInvalidArgument names the tensor that cannot be right.
Status ReadQuantised(const std::string& config_json, TensorMap& tensors);

// The formats. `quantization` is config.json's quantization_config.
//
// fp8: "X" in F8_E4M3 beside its scales: "X_scale_inv" [ceil(rows / r), ceil(columns / c)] for
// blocks of weight_block_size [r, c] (DeepSeek-AI, DeepSeek-V3 technical report, 2024, section
// 3.3), or "X_scale" for the whole tensor or for each row. Value = scale * x.
Status ReadFp8(const JsonObject& quantization, TensorMap& tensors);
// MXFP4 (OCP Microscaling Formats v1.0): "X_blocks" U8 [experts, outputs, groups, 16], two e2m1
// values a byte, low nibble first, and "X_scales" U8 [experts, outputs, groups], exponents with
// bias 127, become "X" [experts, inputs, outputs], as GPT-OSS has it unquantised.
Status ReadMxfp4(const JsonObject& quantization, TensorMap& tensors);
// GPTQ (Frantar et al., 2022), in AutoGPTQ's layout: "X.qweight" I32 [inputs * bits / 32, outputs],
// "X.qzeros" I32 [groups, outputs * bits / 32], "X.scales" [groups, outputs] and, optionally,
// "X.g_idx" I32 [inputs] become "X.weight" [outputs, inputs]. 4 and 8 bits.
Status ReadGptq(const JsonObject& quantization, TensorMap& tensors);
// AWQ (Lin et al., 2023), version "gemm": "X.qweight" I32 [inputs, outputs / 8], "X.qzeros" I32
// [groups, outputs / 8] and "X.scales" [groups, outputs] become "X.weight" [outputs, inputs].
Status ReadAwq(const JsonObject& quantization, TensorMap& tensors);
// compressed-tensors: format "pack-quantized", symmetric: "X_packed" I32 [outputs, inputs * bits /
// 32], "X_scale" [outputs, groups] and "X_shape" become "X"; format "float-quantized": as fp8.
Status ReadCompressedTensors(const JsonObject& quantization, TensorMap& tensors);

}  // namespace shoal::model
