// Hostile checkpoint files: whatever the bytes, reading them ends in a value or an error.
#include "base/bytes.h"
#include "base/check.h"
#include "model/architecture.h"
#include "model/safetensors.h"
#include "model/weights.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace shoal;
  if (size == 0) return 0;
  const Bytes bytes(data + 1, size - 1);
  if (data[0] % 2 == 0) {
    const auto tensors = model::ParseSafetensors(bytes, "fuzz");
    if (!tensors) return 0;
    for (const model::TensorView& tensor : *tensors) {
      CHECK(tensor.data.data() >= bytes.data());
      CHECK(tensor.data.data() + tensor.data.size() <= bytes.data() + bytes.size());
    }
    return 0;
  }
  const auto arch = model::ParseArchitecture(AsText(bytes));
  if (!arch) return 0;
  CHECK(model::TotalParams(*arch) > 0);
  const auto generation = model::ParseGenerationDefaults(AsText(bytes), AsText(bytes), arch->vocab);
  if (generation && generation->bos_id) CHECK(*generation->bos_id < arch->vocab);
  return 0;
}
