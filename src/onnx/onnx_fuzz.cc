// Any bytes: Parse and Check must answer; what they accept must survive writing and joining.
#include "base/check.h"
#include "onnx/check.h"
#include "onnx/join.h"
#include "onnx/read.h"
#include "onnx/write.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace shoal::onnx;
  shoal::Result<Model> model = Parse({data, size});
  if (!model) return 0;
  const bool is_good = Check(*model).has_value();
  const shoal::ByteVector bytes = Serialize(*model);
  const shoal::Result<Model> again = Parse(bytes);
  if (is_good) {
    // Bytes rather than models: a NaN attribute is not equal to itself.
    CHECK(again.has_value());
    CHECK(Serialize(*again) == bytes);
    CHECK(Join(std::span(&*model, 1), "alone").has_value());
  }
  const Model pair[] = {*model, *model};
  if (const auto joined = Join(pair, "pair")) CHECK(Check(*joined).has_value());
  return 0;
}
