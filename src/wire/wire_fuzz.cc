// Any bytes: either refused, or a frame that encodes to the same bytes and survives JSON.

#include <algorithm>

#include "base/check.h"
#include "wire/codec.h"
#include "wire/json.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace shoal::wire;
  const shoal::Bytes bytes(data, size);
  const auto frame = Decode(bytes);
  if (!frame) {
    CHECK(!frame.error().detail.empty());
    return 0;
  }
  const shoal::ByteVector again = Encode(*frame);
  CHECK(std::ranges::equal(again, bytes));
  const auto read = FromJson(ToJson(*frame, PayloadForm::kHex));
  CHECK_MSG(read.has_value(), read ? "" : read.error().ToString());
  CHECK(Encode(*read) == again);
  return 0;
}
