// Any text: either refused, or a frame whose JSON and bytes read back the same.

#include "base/check.h"
#include "wire/codec.h"
#include "wire/json.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace shoal::wire;
  const auto frame = FromJson(shoal::AsText(shoal::Bytes(data, size)));
  if (!frame) {
    CHECK(!frame.error().detail.empty());
    return 0;
  }
  const auto decoded = Decode(Encode(*frame));
  CHECK_MSG(decoded.has_value(), decoded ? "" : decoded.error().ToString());
  CHECK(*decoded == *frame);
  CHECK(FromJson(ToJson(*frame, PayloadForm::kHex)) == *frame);
  return 0;
}
