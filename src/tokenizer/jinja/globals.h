// The functions that every template can call: range, dict, namespace, cycler, joiner,
// raise_exception and strftime_now.
#pragma once

#include "base/result.h"
#include "tokenizer/jinja/runtime.h"
#include "tokenizer/jinja/value.h"
#include "tokenizer/vocabulary.h"

namespace shoal::tokenizer::jinja {

TextMap<Value> MakeGlobals();

// What namespace() makes: attributes that {% set ns.name = value %} changes, also from inner
// scopes.
class Namespace : public Object {
 public:
  std::string TypeName() const override { return "Namespace"; }
  std::optional<Value> GetAttribute(std::string_view name) override;
  Status SetAttribute(Runtime& runtime, std::string_view name, Value value);
  void Clear() { attributes_.Clear(); }

 private:
  Dict attributes_;
};

}  // namespace shoal::tokenizer::jinja
