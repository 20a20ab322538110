#include "tokenizer/jinja/methods.h"

#include <algorithm>

#include "base/str_cat.h"
#include "tokenizer/jinja/method_tables.h"

namespace shoal::tokenizer::jinja {

namespace {

const MethodTable* TableOf(const Value& value) {
  switch (value.kind()) {
    case Value::Kind::kString:
      return &StringMethods();
    case Value::Kind::kDict:
      return &DictMethods();
    case Value::Kind::kSequence:
      if (value.as_sequence().flavor == Sequence::Flavor::kList) return &ListMethods();
      if (value.as_sequence().flavor == Sequence::Flavor::kTuple) return &TupleMethods();
      return nullptr;
    default:
      return nullptr;
  }
}

Method FindMethod(const Value& value, std::string_view name) {
  const MethodTable* table = TableOf(value);
  if (table == nullptr) return nullptr;
  const auto found = table->find(name);
  return found == table->end() ? nullptr : found->second;
}

// value.name, to be called later.
class BoundMethod : public Object {
 public:
  BoundMethod(Value self, std::string name, Method method)
      : self_(std::move(self)), name_(std::move(name)), method_(method) {}
  std::string TypeName() const override { return "method"; }
  bool IsCallable() const override { return true; }
  int Nesting() const override { return self_.Nesting() + 1; }
  Result<Value> Call(Runtime& runtime, const Arguments& arguments) override {
    RETURN_IF_ERROR(runtime.Read(self_));
    return method_(runtime, self_, arguments);
  }

 private:
  Value self_;
  std::string name_;
  Method method_;
};

}  // namespace

bool HasMethod(const Value& value, std::string_view name) {
  return FindMethod(value, name) != nullptr;
}

Result<Value> CallMethod(Runtime& runtime, const Value& value, std::string_view name,
                         const Arguments& arguments) {
  RETURN_IF_ERROR(runtime.Read(value));
  return FindMethod(value, name)(runtime, value, arguments);
}

Result<Value> MethodOf(Runtime& runtime, const Value& value, std::string_view name) {
  RETURN_IF_ERROR(runtime.Make(sizeof(BoundMethod)));
  return Value(std::shared_ptr<Object>(
      std::make_shared<BoundMethod>(value, std::string(name), FindMethod(value, name))));
}

}  // namespace shoal::tokenizer::jinja
