#include "tokenizer/jinja/filters.h"

#include "base/str_cat.h"
#include "tokenizer/jinja/filter_tables.h"

namespace shoal::tokenizer::jinja {

Result<Value> ApplyFilter(Runtime& runtime, std::string_view name, const Value& input,
                          const Arguments& arguments) {
  RETURN_IF_ERROR(runtime.Step());
  RETURN_IF_ERROR(runtime.Read(input));
  for (const FilterTable* table : {&ValueFilters(), &SequenceFilters()}) {
    const auto found = table->find(name);
    if (found != table->end()) return found->second(runtime, input, arguments);
  }
  return Fail(Code::kUnimplemented, StrCat("there is no filter '", name, "'"));
}

}  // namespace shoal::tokenizer::jinja
