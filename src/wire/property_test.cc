// Round trips of arbitrary frames through bytes and JSON, and arbitrary damage.

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <cmath>
#include <set>

#include "wire/bodies.h"
#include "wire/codec.h"
#include "wire/frames_for_test.h"
#include "wire/json.h"
#include "wire/names.h"
#include "wire/traits.h"
#include "wire/utf8.h"

namespace shoal::wire {
namespace {

// Fills fields with anything that their types allow on the wire.
struct ArbitraryFields {
  template <typename T>
  void operator()(std::string_view, T& value) {
    Fill(value);
  }
  void Payload(std::string_view, ByteVector& bytes) { Fill(bytes); }

  template <typename T>
  void Fill(T& value) {
    if constexpr (kIsId<T>) {
      Fill(value.value);
    } else if constexpr (std::is_enum_v<T>) {
      const auto& names = EnumNames<T>::kNames;
      value = names[*rc::gen::inRange<size_t>(0, names.size())].first;
    } else if constexpr (std::is_floating_point_v<T>) {
      value = *rc::gen::suchThat(rc::gen::map(rc::gen::arbitrary<uint64_t>(), FromBits<T>),
                                 [](T number) { return std::isfinite(number); });
    } else if constexpr (std::is_same_v<T, std::string>) {
      value = CleanUtf8(*rc::gen::arbitrary<std::string>(), 64);
    } else if constexpr (std::is_same_v<T, Sha256>) {
      for (uint8_t& byte : value) byte = *rc::gen::arbitrary<uint8_t>();
    } else if constexpr (kIsList<T>) {
      value.resize(*rc::gen::inRange<size_t>(0, 5));
      for (auto& item : value) Fill(item);
    } else if constexpr (std::is_arithmetic_v<T>) {
      value = *rc::gen::arbitrary<T>();
    } else {
      T::Fields(*this, value);
    }
  }

  template <typename T>
  static T FromBits(uint64_t bits) {
    if constexpr (sizeof(T) == sizeof(bits)) {
      return std::bit_cast<T>(bits);
    } else {
      return std::bit_cast<T>(static_cast<uint32_t>(bits));
    }
  }
};

// What Validate demands of fields together.
void MakeFit(Step& step) {
  if (step.rows.empty()) step.rows.emplace_back();
  step.sampling.clear();
  for (size_t i = 0; i < step.rows.size(); ++i) {
    step.rows[i].session = SessionId{i / 2};
    step.rows[i].epoch = Epoch{7};
    step.rows[i].position = static_cast<uint32_t>(i);
    step.rows[i].flags &= 3;
    if ((step.rows[i].flags & Row::kWantToken) == 0) continue;
    ArbitraryFields arbitrary;
    arbitrary.Fill(step.sampling.emplace_back());
    step.sampling.back().row = static_cast<uint32_t>(i);
    step.sampling.back().top_logprobs %= kTopLogprobsMax + 1;
  }
  step.width = step.type == PayloadType::kTokens ? 1 : step.width % 9 + 1;
  const size_t element = step.type == PayloadType::kF16 ? 2 : 4;
  step.payload.assign(step.rows.size() * step.width * element, 0x5A);
}
void MakeFit(Hello& hello) { hello = {.agent = hello.agent, .resume_token = "r"}; }
void MakeFit(Assign& assign) {
  assign.first %= 1000;
  assign.last = assign.first + 5;
  for (KvSlot& slot : assign.kv) slot.block = assign.first + slot.block % 5;
  for (size_t i = 0; i < assign.parts.size(); ++i) {
    assign.parts[i].block = assign.first + static_cast<uint32_t>(i);
    assign.parts[i].experts |= 1;
  }
  if (!assign.kv.empty() || !assign.parts.empty()) return assign.experts.clear();
  assign.last = assign.first;
  for (size_t i = 0; i < assign.experts.size(); ++i) {
    ExpertPart& part = assign.experts[i];
    part.block = static_cast<uint32_t>(3 * i);
    part.experts = part.experts % 1000 + 100;
    part.groups.resize(part.groups.size() + 1);
    for (uint32_t g = 0; g < part.groups.size(); ++g) part.groups[g] = {2 * g, 10 * g, 1 + g};
  }
}
void MakeFit(ExpertTable& table) {
  for (uint32_t i = 0; i < table.holders.size(); ++i) {
    table.holders[i].block = 7 + i / 3;
    table.holders[i].group = i % 3;
    table.holders[i].first = i % 3 * 4;
    table.holders[i].count = 4;
  }
}
void MakeFit(ExpertRows& rows) {
  rows.rows = static_cast<uint32_t>(rows.choices.size() / 2 + 1);
  rows.width = rows.width % 9 + 1;
  rows.choices.resize(2 * rows.rows);
  for (uint32_t i = 0; i < rows.choices.size(); ++i) {
    rows.choices[i] = {i / 2, i % 2 + i, rows.choices[i].weight};
    if (rows.choices[i].weight == 0) rows.choices[i].weight = 1;
  }
  rows.payload.assign(size_t{rows.rows} * rows.width * (rows.type == HopType::kF16 ? 2 : 4), 0x5A);
}
void MakeFit(ExpertSums& sums) {
  sums.rows = sums.rows % 4096 + 1;
  sums.width = sums.width % 9 + 1;
  sums.payload.assign(size_t{sums.rows} * sums.width * (sums.type == HopType::kF16 ? 2 : 4), 0x5A);
}
void MakeFit(ExpertRefusal& refusal) { refusal.code = static_cast<uint8_t>(refusal.code % 14 + 1); }
void MakeFit(Open& open) { open.keep = std::min(open.keep, open.capacity); }
void MakeFit(KvExport& kv) {
  kv.last = (kv.first %= 1000) + 1;
  kv.to = (kv.from %= 1000) + 3;
}
void MakeFit(KvImport& kv) {
  kv.to = (kv.from %= 1000) + 3;
  kv.payload.assign(24 * (kv.payload.size() + 1), 0x5A);
}
void MakeFit(KvCopy& copy) {
  copy.positions |= 1;
  copy.source = SessionId{copy.session.value + 1};
}
void MakeFit(Replay& replay) { replay.to = (replay.from %= 1000) + 3; }
void MakeFit(ErrorFrame& error) { error.code = static_cast<uint8_t>(error.code % 14 + 1); }
void MakeFit(Report& report) { report.last = (report.first %= 1000) + 3; }
template <typename BodyType>
void MakeFit(BodyType&) {}

Frame ArbitraryFrame() {
  const size_t kind = *rc::gen::inRange<size_t>(0, kBodyKinds);
  Frame frame{.to = {}, .from = {}, .body = MakeBody(EnumNames<Kind>::kNames[kind].first)};
  ArbitraryFields arbitrary;
  arbitrary.Fill(frame.to);
  arbitrary.Fill(frame.from);
  VisitFields(arbitrary, frame.body);
  std::visit([](auto& body) { MakeFit(body); }, frame.body);
  return frame;
}

RC_GTEST_PROP(WireProperty, BytesComeBack, ()) {
  const Frame frame = ArbitraryFrame();
  const auto decoded = Decode(Encode(frame));
  if (!decoded) RC_FAIL(decoded.error().ToString());
  RC_ASSERT(*decoded == frame);
}

RC_GTEST_PROP(WireProperty, JsonComesBack, ()) {
  const Frame frame = ArbitraryFrame();
  const auto read = FromJson(ToJson(frame, PayloadForm::kHex));
  if (!read) RC_FAIL(read.error().ToString());
  RC_ASSERT(*read == frame);
}

// Whatever one changed byte makes of a frame is refused, or is a frame that has these very bytes.
RC_GTEST_PROP(WireProperty, DamageIsRefusedOrIsAnotherFrame, ()) {
  ByteVector bytes = Encode(ArbitraryFrame());
  const size_t at = *rc::gen::inRange<size_t>(0, bytes.size());
  bytes[at] = *rc::gen::arbitrary<uint8_t>();
  const auto decoded = Decode(bytes);
  if (decoded) RC_ASSERT(Encode(*decoded) == bytes);
}

RC_GTEST_PROP(WireProperty, CleanedTextIsUtf8AndFits, (const std::string& text)) {
  const size_t limit = *rc::gen::inRange<size_t>(0, 40);
  const std::string clean = CleanUtf8(text, limit);
  RC_ASSERT(IsUtf8(clean));
  RC_ASSERT(clean.size() <= limit);
  if (IsUtf8(text) && text.size() <= limit) RC_ASSERT(clean == text);
}

}  // namespace
}  // namespace shoal::wire
