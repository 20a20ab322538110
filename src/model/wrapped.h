// Models that also see: their config.json describes the decoder in an object of its own, and their
// checkpoints hold its tensors under a prefix, beside those of the other parts. Of such a
// checkpoint the decoder is packed, as if it had come alone.
#pragma once

#include <boost/json/object.hpp>
#include <string>
#include <string_view>

#include "base/result.h"
#include "model/json.h"

namespace shoal::model {

struct Wrapper {
  std::string_view model_type;
  std::string_view text_type;  // The model_type of its decoder.
  // What such files leave out: the fields of config.json that have these values.
  std::string_view defaults;
};

// Null for a model_type that is a decoder itself, or unknown.
const Wrapper* FindWrapper(std::string_view model_type);

// The model_types that FindWrapper knows, separated by ", ".
std::string SupportedWrappers();

// What a config.json of the decoder alone would say: "text_config", completed. kUnimplemented when
// that is another decoder than the wrapper's.
Result<boost::json::object> TextConfig(const Wrapper& wrapper, const JsonObject& config);

// The name that the tensor has where the decoder comes alone; the same for those of other parts.
std::string UnwrappedName(std::string_view tensor);

// Whether the tensor belongs to what sees.
bool IsOfAnotherPart(std::string_view tensor);

}  // namespace shoal::model
