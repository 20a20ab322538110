// Variables, and what a loop knows about itself.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "tokenizer/jinja/runtime.h"
#include "tokenizer/jinja/value.h"
#include "tokenizer/vocabulary.h"

namespace shoal::tokenizer::jinja {

// Variables set in a scope are seen in the scopes inside it and nowhere else.
struct Scope {
  explicit Scope(std::shared_ptr<Scope> outer_scope) : outer(std::move(outer_scope)) {}

  // Null when neither it nor a scope around it has the variable.
  const Value* Find(std::string_view name) const {
    for (const Scope* scope = this; scope != nullptr; scope = scope->outer.get()) {
      if (const auto found = scope->variables.find(name); found != scope->variables.end()) {
        return &found->second;
      }
    }
    return nullptr;
  }
  void Set(std::string_view name, Value value) {
    variables.insert_or_assign(std::string(name), std::move(value));
  }

  const std::shared_ptr<Scope> outer;
  TextMap<Value> variables;
};
using ScopePtr = std::shared_ptr<Scope>;

// The variable `loop`.
class Loop : public Object, public std::enable_shared_from_this<Loop> {
 public:
  // `recurse`, if the loop is recursive, runs its body over other items and gives the text.
  using Recurse = std::function<Result<Value>(const Value& items, int depth)>;
  Loop(std::shared_ptr<Sequence> items, int depth, Recurse recurse)
      : items_(std::move(items)), depth_(depth), recurse_(std::move(recurse)) {}

  void MoveTo(size_t index) { index_ = index; }

  std::string TypeName() const override { return "LoopContext"; }
  bool IsCallable() const override { return true; }
  int Nesting() const override;
  std::optional<Value> GetAttribute(std::string_view name) override;
  Result<Value> Call(Runtime& runtime, const Arguments& arguments) override;

 private:
  Value Cycle();
  Value Changed();

  const std::shared_ptr<Sequence> items_;
  const int depth_;  // 1 for a loop that is not in itself.
  const Recurse recurse_;
  size_t index_ = 0;
  std::optional<Value> last_;  // What changed() was given last.
};

}  // namespace shoal::tokenizer::jinja
