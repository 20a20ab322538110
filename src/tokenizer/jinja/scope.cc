#include "tokenizer/jinja/scope.h"

#include <algorithm>

namespace shoal::tokenizer::jinja {

int Loop::Nesting() const { return std::max(items_->nesting, last_ ? last_->Nesting() : 0) + 1; }

std::optional<Value> Loop::GetAttribute(std::string_view name) {
  const auto count = [](size_t number) { return Value(static_cast<uint64_t>(number)); };
  const Values& items = items_->items;
  if (name == "index") return count(index_ + 1);
  if (name == "index0") return count(index_);
  if (name == "revindex") return count(items.size() - index_);
  if (name == "revindex0") return count(items.size() - index_ - 1);
  if (name == "first") return Value(index_ == 0);
  if (name == "last") return Value(index_ + 1 == items.size());
  if (name == "length") return count(items.size());
  if (name == "depth") return Value(depth_);
  if (name == "depth0") return Value(depth_ - 1);
  if (name == "previtem") {
    return index_ > 0 ? items[index_ - 1] : Value::MakeUndefined("there is no previous item");
  }
  if (name == "nextitem") {
    return index_ + 1 < items.size() ? items[index_ + 1]
                                     : Value::MakeUndefined("there is no next item");
  }
  if (name == "cycle") return Cycle();
  if (name == "changed") return Changed();
  return std::nullopt;
}

Value Loop::Cycle() {
  return Value(std::shared_ptr<Object>(std::make_shared<Function>(
      "cycle",
      [self = shared_from_this()](Runtime&, const Arguments& arguments) -> Result<Value> {
        const Values& values = arguments.positional;
        if (values.empty()) {
          return Fail(Code::kFailedPrecondition, "no items for cycling given");
        }
        return values[self->index_ % values.size()];
      },
      Nesting())));
}

Value Loop::Changed() {
  return Value(std::shared_ptr<Object>(std::make_shared<Function>(
      "changed",
      [self = shared_from_this()](Runtime& runtime, const Arguments& arguments) -> Result<Value> {
        runtime.ClearAtEnd(self.get(), [self] { self->last_.reset(); });
        ASSIGN_OR_RETURN(Value now, MakeSequence(Sequence::Flavor::kTuple, arguments.positional));
        const bool changed = !self->last_ || !Equal(*self->last_, now);
        self->last_ = std::move(now);
        return Value(changed);
      },
      Nesting())));
}

Result<Value> Loop::Call(Runtime&, const Arguments& arguments) {
  if (!recurse_) {
    return Fail(Code::kFailedPrecondition,
                "the loop must have the 'recursive' marker to be called");
  }
  if (arguments.positional.size() != 1 || !arguments.named.empty()) {
    return Fail(Code::kFailedPrecondition, "a recursive loop is called with the items to run over");
  }
  return recurse_(arguments.positional[0], depth_ + 1);
}

}  // namespace shoal::tokenizer::jinja
