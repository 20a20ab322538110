// What the codec refuses and what it mends.

#include "wire/codec.h"

#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <limits>

#include "wire/frames_for_test.h"
#include "wire/names.h"

namespace shoal::wire {
namespace {

Step GoodStep() {
  Step step;
  for (uint32_t position = 0; position < 3; ++position) {
    step.rows.push_back({.session = SessionId{5}, .epoch = Epoch{1}, .position = position});
  }
  step.rows.back().flags = Row::kWantToken;
  step.sampling = {{.row = 2}};
  step.type = PayloadType::kF16;
  step.width = 2;
  step.payload.assign(12, 0);
  return step;
}

template <typename BodyType>
Status CheckBody(BodyType body) {
  return Validate(Frame{.to = {}, .from = {}, .body = std::move(body)});
}

void ExpectError(const Status& status, Code code, std::string_view text) {
  ASSERT_FALSE(status.has_value()) << text;
  EXPECT_EQ(status.error().code, code) << status.error().detail;
  EXPECT_NE(status.error().detail.find(text), std::string::npos) << status.error().detail;
}

Status DecodeStatus(Bytes bytes) {
  const auto frame = Decode(bytes);
  if (!frame) return std::unexpected(frame.error());
  return {};
}

TEST(Codec, HeaderIsSixteenBytesInOrder) {
  const ByteVector bytes =
      Encode({.to = NodeId{0x01020304}, .from = NodeId{5}, .body = Release{SessionId{6}}});
  EXPECT_EQ(ToHex(bytes),
            "53480109040302010500000008000000"
            "0600000000000000");
  const auto header = DecodeHeader(bytes);
  ASSERT_TRUE(header.has_value());
  EXPECT_EQ(*header, (Header{Kind::kRelease, NodeId{0x01020304}, NodeId{5}, 8}));
}

TEST(Codec, StampFromRewritesTheSenderAlone) {
  const Frame frame{.to = NodeId{2}, .from = NodeId{3}, .body = Bye{"x"}};
  ByteVector bytes = Encode(frame);
  StampFrom(bytes, NodeId{77});
  const auto stamped = Decode(bytes);
  ASSERT_TRUE(stamped.has_value());
  EXPECT_EQ(*stamped, (Frame{.to = NodeId{2}, .from = NodeId{77}, .body = Bye{"x"}}));
}

TEST(Codec, RefusesHeaders) {
  const ByteVector good = Encode({.to = {}, .from = {}, .body = Ping{}});
  const auto changed = [&good](size_t at, uint8_t value) {
    ByteVector bytes = good;
    bytes[at] = value;
    return DecodeStatus(bytes);
  };
  ExpectError(changed(0, 0), Code::kInvalidArgument, "SH");
  ExpectError(changed(2, 2), Code::kUnimplemented, "version 2");
  ExpectError(changed(3, 0), Code::kUnimplemented, "kind 0");
  ExpectError(changed(3, 25), Code::kUnimplemented, "kind 25");
  ExpectError(changed(12, 200), Code::kInvalidArgument, "header says 200");
  ExpectError(DecodeStatus({}), Code::kInvalidArgument, "0 bytes");
  const ByteVector huge(kLimits.frame_bytes + 1);
  ExpectError(DecodeStatus(huge), Code::kResourceExhausted, "at most");
}

TEST(Codec, RefusesStepsWhosePartsDoNotFit) {
  ASSERT_TRUE(CheckBody(GoodStep()).has_value());
  struct Case {
    std::string text;
    std::function<void(Step&)> spoil;
    Code code = Code::kInvalidArgument;
  };
  const std::vector<Case> cases = {
      {"step.rows: empty", [](Step& s) { s.rows.clear(); }},
      {"step.rows: 4097", [](Step& s) { s.rows.resize(4097); }, Code::kResourceExhausted},
      {"step.rows[1].flags: 4", [](Step& s) { s.rows[1].flags = 4; }},
      {"step.rows[2].position: 1", [](Step& s) { s.rows[2].position = 1; }},
      {"step.rows[1].epoch: 2", [](Step& s) { s.rows[1].epoch = Epoch{2}; }},
      {"step.width: 0", [](Step& s) { s.width = 0; }},
      {"tokens have width 1", [](Step& s) { s.type = PayloadType::kTokens; }},
      {"need 24", [](Step& s) { s.type = PayloadType::kF32; }},
      {"step.payload: 11 bytes", [](Step& s) { s.payload.pop_back(); }},
      {"need 12884901888",
       [](Step& s) {
         s.type = PayloadType::kF32;
         s.width = 1u << 30;
       }},
      {"no item for row 2", [](Step& s) { s.sampling.clear(); }},
      {"step.sampling[0].row: 1", [](Step& s) { s.sampling[0].row = 1; }},
      {"step.sampling[1].row: 2", [](Step& s) { s.sampling.push_back({.row = 2}); }},
      {"step.sampling", [](Step& s) { s.sampling.resize(4); }, Code::kResourceExhausted},
      {"top_logprobs: 129", [](Step& s) { s.sampling[0].top_logprobs = 129; },
       Code::kResourceExhausted},
  };
  for (const Case& spoiled : cases) {
    Step step = GoodStep();
    spoiled.spoil(step);
    ExpectError(CheckBody(step), spoiled.code, spoiled.text);
  }
}

TEST(Codec, RefusesOtherBodiesWhosePartsDoNotFit) {
  ExpectError(CheckBody(Hello{.version_min = 0}), Code::kInvalidArgument, "version_min");
  ExpectError(CheckBody(Hello{.version_min = 3, .version_max = 2}), Code::kInvalidArgument,
              "version_min");
  ExpectError(CheckBody(Hello{.resume_token = std::string(65, 'x')}), Code::kResourceExhausted,
              "resume_token");
  ExpectError(CheckBody(Assign{.first = 3, .last = 2}), Code::kInvalidArgument, "assign.first");
  ExpectError(CheckBody(Assign{.first = 1, .last = 2, .kv = {{.block = 2}}}),
              Code::kInvalidArgument, "assign.kv[0].block");
  ExpectError(CheckBody(Open{.capacity = 4, .keep = 5}), Code::kResourceExhausted, "open.keep");
  ExpectError(CheckBody(KvCopy{.session = SessionId{1}, .source = SessionId{2}}),
              Code::kInvalidArgument, "kv-copy.positions");
  ExpectError(CheckBody(KvCopy{.session = SessionId{1}, .source = SessionId{1}, .positions = 1}),
              Code::kInvalidArgument, "kv-copy.source");
  ExpectError(CheckBody(KvExport{.first = 1, .last = 1, .from = 0, .to = 1}),
              Code::kInvalidArgument, "kv-export.first");
  ExpectError(CheckBody(KvExport{.first = 1, .last = 2, .from = 7, .to = 7}),
              Code::kInvalidArgument, "kv-export.from");
  ExpectError(CheckBody(Replay{.from = 9, .to = 8}), Code::kInvalidArgument, "replay.from");
  ExpectError(CheckBody(KvImport{.from = 0, .to = 0}), Code::kInvalidArgument, "kv-import.from");
  ExpectError(CheckBody(KvImport{.from = 0, .to = 3, .payload = ByteVector(20)}),
              Code::kInvalidArgument, "no multiple of 24");
  ExpectError(CheckBody(KvImport{.from = 0, .to = UINT32_MAX, .payload = ByteVector(20)}),
              Code::kInvalidArgument, "kv-import.payload");
  ExpectError(CheckBody(Token{.top = std::vector<TokenProbability>(129)}), Code::kResourceExhausted,
              "token.top");
  ExpectError(CheckBody(ErrorFrame{.code = 15}), Code::kInvalidArgument, "error.code");
  ExpectError(CheckBody(Report{.first = 2, .last = 1}), Code::kInvalidArgument, "report.first");
}

TEST(Codec, RefusesFramesOverTheLimit) {
  Step step;
  step.type = PayloadType::kF32;
  step.width = (64u << 20) / 4 - 64;
  step.rows.resize(1);
  step.payload.resize(size_t{4} * step.width);
  const ByteVector bytes = Encode({.to = {}, .from = {}, .body = step});
  EXPECT_LE(bytes.size(), kLimits.frame_bytes);
  EXPECT_TRUE(DecodeStatus(bytes).has_value());
  step.width += 64;
  step.payload.resize(size_t{4} * step.width);
  ExpectError(CheckBody(step), Code::kResourceExhausted, "step: 671");
}

// A frame whose bytes are changed after the codec made them.
Status DecodeChanged(const Body& body, const std::function<void(ByteVector&)>& change) {
  ByteVector bytes = Encode({.to = {}, .from = {}, .body = body});
  change(bytes);
  return DecodeStatus(bytes);
}

template <typename T>
std::function<void(ByteVector&)> Put(size_t at, T value) {
  return [at, value](ByteVector& bytes) {
    ASSERT_LE(at + sizeof(value), bytes.size());
    std::memcpy(bytes.data() + at, &value, sizeof(value));
  };
}

TEST(Codec, RefusesDamagedFieldsAndNamesThem) {
  constexpr size_t kBody = kHeaderBytes;
  ExpectError(DecodeChanged(Leave{"abc"}, Put(kBody, uint32_t{4})), Code::kInvalidArgument,
              "leave.reason: 4 items or bytes said, 3 bytes left");
  ExpectError(DecodeChanged(Leave{"abc"}, Put(kBody, uint32_t{5000})), Code::kResourceExhausted,
              "leave.reason: 5000");
  ExpectError(DecodeChanged(Leave{"abc"}, Put(kBody, uint32_t{2})), Code::kInvalidArgument,
              "leave: 1 bytes after the last field");
  ExpectError(DecodeChanged(Leave{"abc"}, Put(kBody + 4, uint8_t{0xff})), Code::kInvalidArgument,
              "leave.reason: not UTF-8");
  ExpectError(DecodeChanged(Ping{}, Put(kBody + 8, uint8_t{2})), Code::kInvalidArgument,
              "ping.reply: 2 is neither");
  ExpectError(DecodeChanged(Open{}, Put(kBody + 20, uint8_t{3})), Code::kInvalidArgument,
              "open.hop: 3 is not known; known are f32, f16");
  ExpectError(DecodeChanged(Token{}, Put(kBody + 20, std::numeric_limits<float>::infinity())),
              Code::kInvalidArgument, "token.logprob: not a finite number");
  ExpectError(DecodeChanged(Profile{.measures = {{"a", 1}}},
                            [](ByteVector& bytes) {
                              // executor, memory, threads, platform, count, name.
                              Put(kBody + 4 + 8 + 4 + 4 + 4 + 5,
                                  std::numeric_limits<double>::quiet_NaN())(bytes);
                            }),
              Code::kInvalidArgument, "profile.measures[0].value: not a finite number");
  // A count that fits the limit but not the frame must not be allocated for.
  ExpectError(DecodeChanged(Step(GoodStep()), Put(kBody, uint32_t{4096})), Code::kInvalidArgument,
              "step.rows: 4096");
  ExpectError(DecodeChanged(Step(GoodStep()), Put(kBody, uint32_t{4097})), Code::kResourceExhausted,
              "step.rows: 4097");
}

TEST(Codec, PayloadIsAlignedAndItsPaddingIsZero) {
  for (uint32_t rows = 1; rows <= 8; ++rows) {
    Step step;
    for (uint32_t i = 0; i < rows; ++i) step.rows.push_back({.session = SessionId{i}});
    step.payload.assign(4 * rows, 0xAB);
    const ByteVector bytes = Encode({.to = {}, .from = {}, .body = step});
    const size_t offset = bytes.size() - step.payload.size();
    EXPECT_EQ(offset % 4, 0u);
    const size_t length_end = kHeaderBytes + 4 + 17 * rows + 1 + 4 + 4 + 4;
    EXPECT_EQ(offset, (length_end + 3) / 4 * 4);
    if (length_end == offset) continue;
    ByteVector dirty = bytes;
    dirty[length_end] = 1;
    ExpectError(DecodeStatus(dirty), Code::kInvalidArgument, "step.payload: padding");
  }
}

TEST(Codec, MendsStringsWhenItEncodes) {
  const auto reason_of = [](std::string reason) {
    const auto frame = Decode(Encode({.to = {}, .from = {}, .body = Bye{std::move(reason)}}));
    EXPECT_TRUE(frame.has_value());
    return std::get<Bye>(frame->body).reason;
  };
  EXPECT_EQ(reason_of("grün"), "grün");
  EXPECT_EQ(reason_of("a\xff\xc3(\xed\xa0\x80)"), "a\uFFFD\uFFFD(\uFFFD\uFFFD\uFFFD)");
  EXPECT_EQ(reason_of(std::string(5000, 'x')), std::string(4096, 'x'));
  // Not in the middle of a character: 4,095 bytes and two of "ü" do not fit.
  EXPECT_EQ(reason_of(std::string(4095, 'x') + "ü"), std::string(4095, 'x'));
}

TEST(CodecDeathTest, EncodingWhatValidateRefusesIsABug) {
  Step step = GoodStep();
  step.payload.pop_back();
  EXPECT_DEATH(Encode({.to = {}, .from = {}, .body = step}), "step.payload: 11 bytes");
}

TEST(Codec, NamesAndKindsAreInverse) {
  for (const auto& [kind, name] : EnumNames<Kind>::kNames) {
    EXPECT_EQ(KindName(kind), name);
    EXPECT_EQ(KindFromName(name), kind);
  }
  EXPECT_EQ(KindName(static_cast<Kind>(200)), "unknown");
  EXPECT_EQ(KindFromName("Step"), std::nullopt);
}

}  // namespace
}  // namespace shoal::wire
