#include "wire/codec.h"

#include <cstring>

#include "base/check.h"
#include "base/str_cat.h"
#include "wire/bodies.h"
#include "wire/fields_decode.h"
#include "wire/fields_encode.h"
#include "wire/fields_size.h"
#include "wire/names.h"

namespace shoal::wire {
namespace {

constexpr size_t kFromOffset = 8;
constexpr size_t kBodyBytesOffset = 12;

void WriteAt(std::span<uint8_t> bytes, size_t offset, uint32_t value) {
  std::memcpy(bytes.data() + offset, &value, sizeof(value));
}

}  // namespace

ByteVector Encode(const Frame& frame) {
  if (const Status status = Validate(frame); !status) {
    CHECK_MSG(false, status.error().ToString());
  }
  const FieldRef body = HeldBody(frame.body);
  const uint64_t bytes_max = kHeaderBytes + WireBytesAtMost(body);
  ByteVector out;
  out.reserve(bytes_max);
  ByteWriter writer(out);
  writer.Write(kMagic);
  writer.Write(kVersion);
  writer.Write(static_cast<uint8_t>(KindOf(frame.body)));
  writer.Write(frame.to.value);
  writer.Write(frame.from.value);
  writer.Write(uint32_t{0});
  EncodeFields(body, out);
  CHECK(out.size() <= bytes_max);
  WriteAt(out, kBodyBytesOffset, static_cast<uint32_t>(out.size() - kHeaderBytes));
  return out;
}

Result<Header> DecodeHeader(Bytes frame) {
  if (frame.size() < kHeaderBytes) {
    return Fail(Code::kInvalidArgument,
                StrCat("a frame of ", frame.size(), " bytes; a header has ", kHeaderBytes));
  }
  if (frame.size() > kLimits.frame_bytes) {
    return Fail(Code::kResourceExhausted,
                StrCat("a frame of ", frame.size(), " bytes, at most ", kLimits.frame_bytes));
  }
  ByteReader reader(frame);
  if (reader.Read<uint16_t>() != kMagic) {
    return Fail(Code::kInvalidArgument, "not a Shoal frame: it does not start with \"SH\"");
  }
  const auto version = reader.Read<uint8_t>();
  if (version != kVersion) {
    return Fail(Code::kUnimplemented,
                StrCat("wire version ", version, "; this side speaks ", kVersion));
  }
  Header header;
  const auto kind = reader.Read<uint8_t>();
  header.kind = static_cast<Kind>(kind);
  if (!EnumName(header.kind)) {
    return Fail(Code::kUnimplemented, StrCat("frame kind ", kind, " is not known"));
  }
  header.to.value = reader.Read<uint32_t>();
  header.from.value = reader.Read<uint32_t>();
  header.body_bytes = reader.Read<uint32_t>();
  if (header.body_bytes != reader.remaining()) {
    return Fail(Code::kInvalidArgument, StrCat("the header says ", header.body_bytes,
                                               " bytes of body, there are ", reader.remaining()));
  }
  return header;
}

Result<Frame> Decode(Bytes frame) {
  ASSIGN_OR_RETURN(const Header header, DecodeHeader(frame));
  Frame decoded{.to = header.to, .from = header.from, .body = MakeBody(header.kind)};
  FieldsDecoder decoder(frame, kHeaderBytes);
  {
    const FieldPath::Scope scope(decoder.path(), KindName(header.kind));
    const FieldRef body = HeldBody(decoded.body);
    decoder.Get(body.type, body.value);
    if (decoder.remaining() != 0) {
      decoder.path().Fail(Code::kInvalidArgument,
                          StrCat(decoder.remaining(), " bytes after the last field"));
    }
  }
  if (decoder.path().failed()) return std::unexpected(decoder.path().error());
  RETURN_IF_ERROR(Validate(decoded));
  return decoded;
}

void StampFrom(std::span<uint8_t> frame, NodeId from) {
  CHECK(frame.size() >= kHeaderBytes);
  WriteAt(frame, kFromOffset, from.value);
}

std::string_view KindName(Kind kind) { return EnumName(kind).value_or("unknown"); }

std::optional<Kind> KindFromName(std::string_view name) { return EnumFromName<Kind>(name); }

Kind KindOf(const Body& body) {
  return std::visit([](const auto& held) { return std::decay_t<decltype(held)>::kKind; }, body);
}

}  // namespace shoal::wire
