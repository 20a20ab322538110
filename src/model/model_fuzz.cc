// Hostile checkpoint files: whatever the bytes, reading them ends in a value or an error.
#include <algorithm>
#include <vector>

#include "base/bytes.h"
#include "base/check.h"
#include "model/architecture.h"
#include "model/gguf_model.h"
#include "model/quantised.h"
#include "model/safetensors.h"
#include "model/weights.h"

namespace {

using namespace shoal;

// Values that are read of one tensor.
constexpr uint64_t kMaxRead = 4096;

void ReadValues(const model::TensorView& tensor) {
  if (tensor.encoding == nullptr) return;
  uint64_t count = 1;
  for (const uint64_t dim : tensor.shape) count *= dim;
  std::vector<float> values(std::min(count, kMaxRead));
  tensor.encoding->Read(0, values);
  tensor.encoding->Read(count - values.size(), values);
  const model::CodedMatrix* const coded = tensor.encoding->coded();
  if (coded == nullptr) return;
  CHECK(coded->rows() * coded->columns() == count);
  if (coded->columns() > kMaxRead) return;
  std::vector<uint8_t> codes(coded->columns()), zeros(coded->groups_per_row());
  std::vector<float> scales(coded->groups_per_row());
  coded->ReadCodes(coded->rows() - 1, codes);
  coded->ReadScales(coded->rows() - 1, scales, zeros);
}

void FuzzSafetensors(Bytes bytes) {
  const auto tensors = model::ParseSafetensors(bytes, "fuzz");
  if (!tensors) return;
  for (const model::TensorView& tensor : *tensors) {
    CHECK(tensor.data.data() >= bytes.data());
    CHECK(tensor.data.data() + tensor.data.size() <= bytes.data() + bytes.size());
  }
}

void FuzzConfig(Bytes bytes) {
  const auto arch = model::ParseArchitecture(AsText(bytes));
  if (!arch) return;
  CHECK(model::TotalParams(*arch) > 0);
  const auto generation = model::ParseGenerationDefaults(AsText(bytes), AsText(bytes), arch->vocab);
  if (generation && generation->bos_id) CHECK(*generation->bos_id < arch->vocab);
}

void FuzzGguf(Bytes bytes) {
  auto gguf = model::Gguf::Parse(bytes, "fuzz");
  if (!gguf) return;
  std::vector<model::Gguf> files;
  files.push_back(*std::move(gguf));
  const auto read = model::ReadGgufModel(files);
  if (!read) return;
  for (const auto& [name, tensor] : read->tensors) ReadValues(tensor);
}

// A config.json, a zero byte, a safetensors file.
void FuzzQuantised(Bytes bytes) {
  const std::string_view text = AsText(bytes);
  const size_t end = std::min(text.find('\0'), text.size());
  auto tensors = model::ParseSafetensors(bytes.subspan(std::min(end + 1, text.size())), "fuzz");
  if (!tensors) return;
  model::TensorMap map;
  for (model::TensorView& tensor : *tensors) {
    std::string name = tensor.name;
    map.emplace(std::move(name), std::move(tensor));
  }
  if (!model::ReadQuantised(std::string(text.substr(0, end)), map)) return;
  for (const auto& [name, tensor] : map) ReadValues(tensor);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  constexpr void (*kTargets[])(Bytes) = {FuzzSafetensors, FuzzConfig, FuzzGguf, FuzzQuantised};
  kTargets[data[0] % 4](Bytes(data + 1, size - 1));
  return 0;
}
