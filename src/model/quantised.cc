#include "model/quantised.h"

#include "base/str_cat.h"

namespace shoal::model {

namespace {

struct Method {
  std::string_view name;
  Status (*read)(const JsonObject& quantization, TensorMap& tensors);
};
constexpr Method kMethods[] = {{"fp8", ReadFp8},
                               {"mxfp4", ReadMxfp4},
                               {"gptq", ReadGptq},
                               {"awq", ReadAwq},
                               {"compressed-tensors", ReadCompressedTensors}};

}  // namespace

Status ReadQuantised(const std::string& config_json, TensorMap& tensors) {
  ASSIGN_OR_RETURN(const boost::json::value value, ParseJson(config_json, "config.json"));
  ASSIGN_OR_RETURN(const JsonObject config, JsonObject::From(value, "config.json"));
  if (!config.Has("quantization_config")) return {};
  ASSIGN_OR_RETURN(const JsonObject quantization, config.Object("quantization_config"));
  ASSIGN_OR_RETURN(const std::string name, quantization.Text("quant_method", 64));
  for (const Method& method : kMethods) {
    if (method.name == name) return method.read(quantization, tensors);
  }
  std::string known;
  for (const Method& method : kMethods) known += StrCat(known.empty() ? "" : ", ", method.name);
  return Fail(Code::kUnimplemented,
              StrCat(quantization.where(), ": quant_method: \"", name,
                     "\" is not supported; checkpoints of these are: ", known));
}

}  // namespace shoal::model
