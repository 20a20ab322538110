// Any bytes as an ONNX model: slimmed, read and divided without a crash, in bounded memory.
#include <algorithm>

#include "onnx/read.h"
#include "partition/partition.h"
#include "partition/slim.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const shoal::Bytes file(data, size);
  const auto slim = shoal::partition::Slim(file, "self");
  if (!slim) return 0;
  auto model = shoal::onnx::Parse(*slim);
  if (!model) return 0;
  const auto bytes = [&](const shoal::onnx::Tensor& tensor) -> shoal::Result<shoal::Bytes> {
    const shoal::onnx::ExternalData& range = *tensor.external;
    if (range.offset > size || range.length > size - range.offset) {
      return shoal::Fail(shoal::Code::kOutOfRange, "outside");
    }
    return file.subspan(range.offset, range.length);
  };
  const auto partition = shoal::partition::Divide(std::move(*model), bytes, 16);
  if (!partition) return 0;
  for (const auto& [key, constant] : partition->constants) (void)constant.make();
  return 0;
}
