#include <algorithm>

#include "base/check.h"
#include "model/gguf_blocks.h"
#include "tensor/convert.h"

namespace shoal::model {

namespace {

// Where a row of the halved order lies in the order of neighbours.
uint64_t StoredRow(uint64_t row, uint64_t head_size) {
  const uint64_t in_head = row % head_size;
  const uint64_t half = head_size / 2;
  return row - in_head + 2 * (in_head % half) + in_head / half;
}

class UnturnedCodes : public CodedMatrix {
 public:
  UnturnedCodes(const CodedMatrix& turned, uint64_t head_size)
      : CodedMatrix(turned.rows(), turned.columns(), turned.bits(), turned.group(),
                    turned.symmetric()),
        turned_(turned),
        head_size_(head_size) {}

  void ReadCodes(uint64_t row, std::span<uint8_t> codes) const override {
    turned_.ReadCodes(StoredRow(row, head_size_), codes);
  }
  void ReadScales(uint64_t row, std::span<float> scales, std::span<uint8_t> zeros) const override {
    turned_.ReadScales(StoredRow(row, head_size_), scales, zeros);
  }

 private:
  const CodedMatrix& turned_;
  const uint64_t head_size_;
};

class Unturned : public Encoding {
 public:
  Unturned(TensorView turned, uint64_t head_size)
      : Encoding({turned.data}),
        turned_(std::move(turned)),
        columns_(turned_.shape.size() == 1 ? 1 : turned_.shape.back()),
        head_size_(head_size) {
    const CodedMatrix* coded = turned_.encoding == nullptr ? nullptr : turned_.encoding->coded();
    if (coded != nullptr) codes_ = std::make_unique<UnturnedCodes>(*coded, head_size);
  }

  void Read(uint64_t first, std::span<float> out) const override {
    const size_t element = DTypeBytes(turned_.type);
    for (size_t done = 0; done < out.size();) {
      const uint64_t row = (first + done) / columns_;
      const uint64_t column = (first + done) % columns_;
      const size_t count = std::min<uint64_t>(columns_ - column, out.size() - done);
      const uint64_t from = StoredRow(row, head_size_) * columns_ + column;
      const std::span<float> part = out.subspan(done, count);
      if (turned_.encoding != nullptr) {
        turned_.encoding->Read(from, part);
      } else {
        ToF32(turned_.type, turned_.data.subspan(from * element, count * element), part);
      }
      done += count;
    }
  }
  const CodedMatrix* coded() const override { return codes_.get(); }

 private:
  const TensorView turned_;
  const uint64_t columns_;
  const uint64_t head_size_;
  std::unique_ptr<const UnturnedCodes> codes_;
};

}  // namespace

TensorView UnturnHeads(TensorView tensor, uint64_t head_size) {
  CHECK(head_size > 0 && head_size % 2 == 0 && tensor.shape[0] % head_size == 0);
  TensorView view = tensor;
  view.encoding = std::make_shared<Unturned>(std::move(tensor), head_size);
  view.type = DType::kF32;
  return view;
}

}  // namespace shoal::model
