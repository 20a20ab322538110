// Any bytes, cut in two anywhere: the reader neither crashes nor depends on the cut, and what it
// lets through keeps its promises.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "net/request_reader.h"

namespace shoal::net {
namespace {

using State = RequestReader::State;

bool IsOpen(const RequestReader& reader) {
  return reader.state() == State::kHead || reader.state() == State::kBody;
}

// As a connection does: what is not used is given again with more behind it.
State Feed(RequestReader& reader, std::string_view bytes, size_t cut) {
  size_t used = 0;
  for (const size_t end : {cut, bytes.size()}) {
    while (IsOpen(reader) && used < end) {
      const size_t step = reader.Put(bytes.substr(used, end - used));
      CHECK(step <= end - used);
      if (step == 0) break;
      used += step;
    }
  }
  return reader.state();
}

void CheckRequest(const Request& request) {
  CHECK(request.path.starts_with('/'));
  CHECK(request.path.find('\0') == std::string::npos);
  CHECK(request.path.find("//") == std::string::npos);
  CHECK(request.path.find("/../") == std::string::npos && !request.path.ends_with("/.."));
  CHECK(request.body.size() <= 64);
}

}  // namespace
}  // namespace shoal::net

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace shoal::net;
  if (size < 1) return 0;
  const std::string_view bytes{reinterpret_cast<const char*>(data) + 1, size - 1};
  RequestReader whole(512, 64);
  RequestReader parts(512, 64);
  const State state = Feed(whole, bytes, bytes.size());
  const State again = Feed(parts, bytes, bytes.size() * data[0] / 256);
  if (state != State::kDone || again != State::kDone) {
    // Where a limit is met may depend on the cut; that a request is complete may not.
    CHECK((state == State::kDone) == (again == State::kDone) || state == State::kFailed ||
          again == State::kFailed);
    return 0;
  }
  const Request one = whole.Take();
  const Request two = parts.Take();
  CheckRequest(one);
  CHECK(one.method == two.method && one.path == two.path && one.body == two.body);
  CHECK(one.headers.Serialize() == two.headers.Serialize());
  return 0;
}
