// The messages below an ONNX graph that the reader reads in files of their own, TensorProto
// (read_tensor.cc) and ValueInfoProto (read_value.cc), and what all of the reader shares.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "onnx/model.h"
#include "onnx/protobuf.h"

namespace shoal::onnx::internal {

// Counts the parts of a model that is being read (kMaxParts).
class PartBudget {
 public:
  Status Take();

 private:
  size_t used_ = 0;
};

// The current field's value, which has to be of the wire type that ONNX gives the field.
Result<Bytes> BytesOf(const FieldReader& field, std::string_view what);
Result<int64_t> IntOf(const FieldReader& field, std::string_view what);
// UTF-8 text.
Result<std::string> TextOf(const FieldReader& field, std::string_view what, size_t bytes_max);
// UTF-8 text of at most kMaxNameBytes.
Result<std::string> NameOf(const FieldReader& field, std::string_view what);
// Appends the numbers of a repeated int64 field, packed or not.
Status AppendInts(const FieldReader& field, std::string_view what, std::vector<int64_t>& out);
// Appends the little-endian bytes of a repeated float (size 4) or double (size 8) field.
Status AppendFixed(const FieldReader& field, std::string_view what, size_t size, ByteVector& out);
// kInvalidArgument unless the reader came to the end of a well-formed message.
Status CheckEnd(const FieldReader& reader, std::string_view what);

// Two strings, as in metadata and external data.
struct Entry {
  std::string key;
  std::string value;
};
Result<Entry> ReadEntry(Bytes message, std::string_view what, size_t value_bytes_max);

// Inline data comes out as `raw`, whichever of the typed fields held it.
Result<Tensor> ReadTensor(Bytes message, PartBudget& budget);

// A value's name, element type and shape (ValueInfoProto).
Result<ValueInfo> ReadValueInfo(Bytes message, PartBudget& budget);

}  // namespace shoal::onnx::internal
