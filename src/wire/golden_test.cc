// Frames against vectors that another encoder made, and against the page that specifies them.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <map>
#include <set>

#include "wire/bodies.h"
#include "wire/codec.h"
#include "wire/frames_for_test.h"
#include "wire/json.h"
#include "wire/names.h"
#include "wire/traits.h"

namespace shoal::wire {
namespace {

TEST(Golden, EveryKindHasAVector) {
  std::set<Kind> kinds;
  for (const GoldenFrame& golden : GoldenFrames()) {
    const auto frame = Decode(golden.bytes);
    ASSERT_TRUE(frame.has_value()) << golden.name << ": " << frame.error().ToString();
    kinds.insert(KindOf(frame->body));
  }
  EXPECT_EQ(kinds.size(), kBodyKinds);
  EXPECT_EQ(EnumNames<Kind>::kNames.size(), kBodyKinds);
}

TEST(Golden, JsonEncodesToTheBytes) {
  for (const GoldenFrame& golden : GoldenFrames()) {
    const auto frame = FromJson(golden.json);
    ASSERT_TRUE(frame.has_value()) << golden.name << ": " << frame.error().ToString();
    EXPECT_EQ(ToHex(Encode(*frame)), ToHex(golden.bytes)) << golden.name;
  }
}

TEST(Golden, BytesDecodeToTheJson) {
  for (const GoldenFrame& golden : GoldenFrames()) {
    const auto frame = Decode(golden.bytes);
    ASSERT_TRUE(frame.has_value()) << golden.name << ": " << frame.error().ToString();
    EXPECT_EQ(boost::json::parse(ToJson(*frame, PayloadForm::kHex)),
              boost::json::parse(golden.json))
        << golden.name;
  }
}

// Every truncation and every single trailing byte is refused, none of them crashes.
TEST(Golden, NoPrefixIsAFrame) {
  for (const GoldenFrame& golden : GoldenFrames()) {
    for (size_t size = 0; size < golden.bytes.size(); ++size) {
      ByteVector prefix(golden.bytes.begin(),
                        golden.bytes.begin() + static_cast<std::ptrdiff_t>(size));
      EXPECT_FALSE(Decode(prefix).has_value()) << golden.name << " cut to " << size;
      if (size < kHeaderBytes) continue;
      const auto body_bytes = static_cast<uint32_t>(size - kHeaderBytes);
      std::memcpy(prefix.data() + 12, &body_bytes, sizeof(body_bytes));
      EXPECT_FALSE(Decode(prefix).has_value()) << golden.name << " cut to " << size;
    }
    ByteVector longer = golden.bytes;
    longer.push_back(0);
    const auto body_bytes = static_cast<uint32_t>(longer.size() - kHeaderBytes);
    std::memcpy(longer.data() + 12, &body_bytes, sizeof(body_bytes));
    EXPECT_FALSE(Decode(longer).has_value()) << golden.name << " and a byte";
  }
}

// --- docs/protocol.md --------------------------------------------------------------------------

using Fields = std::vector<std::pair<std::string, std::string>>;  // Name, type.

template <typename T>
std::string DocumentedType(std::string_view struct_name);

// Lists a struct's fields as the page should, and the structs that it refers to.
struct Describer {
  std::map<std::string, Fields>& layouts;
  Fields fields = {};

  template <typename T>
  void operator()(std::string_view name, const T&) {
    fields.emplace_back(name, TypeOf<T>());
  }
  void Payload(std::string_view name, const ByteVector&) { fields.emplace_back(name, "payload"); }

  template <typename T>
  std::string TypeOf() {
    if constexpr (kIsId<T>) {
      return TypeOf<typename T::repr_type>();
    } else if constexpr (std::is_same_v<T, bool>) {
      return "bool";
    } else if constexpr (std::is_same_v<T, HopType>) {
      return "hop";
    } else if constexpr (std::is_same_v<T, PayloadType>) {
      return "values";
    } else if constexpr (std::is_same_v<T, std::string>) {
      return "string";
    } else if constexpr (std::is_same_v<T, Sha256>) {
      return "sha256";
    } else if constexpr (kIsByteString<T>) {
      return "bytes";
    } else if constexpr (kIsList<T>) {
      return "list of " + TypeOf<typename T::value_type>();
    } else if constexpr (std::is_arithmetic_v<T>) {
      const std::string letter = std::is_floating_point_v<T> ? "f"
                                 : std::is_signed_v<T>       ? "i"
                                                             : "u";
      return letter + std::to_string(8 * sizeof(T));
    } else {
      Describer inner{layouts};
      const T value{};
      T::Fields(inner, value);
      layouts[StructName<T>()] = inner.fields;
      return StructName<T>();
    }
  }

  template <typename T>
  static std::string StructName() {
    if constexpr (std::is_same_v<T, Measure>) return "Measure";
    if constexpr (std::is_same_v<T, StageFile>) return "StageFile";
    if constexpr (std::is_same_v<T, KvSlot>) return "KvSlot";
    if constexpr (std::is_same_v<T, StagePart>) return "StagePart";
    if constexpr (std::is_same_v<T, ExpertPart>) return "ExpertPart";
    if constexpr (std::is_same_v<T, ExpertRange>) return "ExpertRange";
    if constexpr (std::is_same_v<T, ExpertHolder>) return "ExpertHolder";
    if constexpr (std::is_same_v<T, ExpertChoice>) return "ExpertChoice";
    if constexpr (std::is_same_v<T, ExpertGroupUse>) return "ExpertGroupUse";
    if constexpr (std::is_same_v<T, Row>) return "Row";
    if constexpr (std::is_same_v<T, Sampling>) return "Sampling";
    if constexpr (std::is_same_v<T, TokenBias>) return "TokenBias";
    if constexpr (std::is_same_v<T, TokenProbability>) return "TokenProbability";
    return "a struct that this test does not know";
  }
};

std::map<std::string, Fields> LayoutsOfTheCode() {
  std::map<std::string, Fields> layouts;
  for (const auto& [kind, name] : EnumNames<Kind>::kNames) {
    Describer describer{layouts};
    const Body body = MakeBody(kind);
    VisitFields(describer, body);
    layouts[std::string(name) + " (" + std::to_string(std::to_underlying(kind)) + ")"] =
        describer.fields;
  }
  return layouts;
}

std::map<std::string, Fields> LayoutsOfThePage() {
  std::map<std::string, Fields> layouts;
  std::istringstream page(ReadTestFile(SHOAL_SOURCE_DIR "/docs/protocol.md"));
  std::string heading;
  for (std::string line; std::getline(page, line);) {
    if (line.starts_with("#")) heading = line.starts_with("### ") ? line.substr(4) : "";
    if (heading.empty() || !line.starts_with("| `")) continue;
    std::vector<std::string> quoted;
    for (size_t at = 0; (at = line.find('`', at)) != std::string::npos && quoted.size() < 2;) {
      const size_t end = line.find('`', at + 1);
      quoted.push_back(line.substr(at + 1, end - at - 1));
      at = end + 1;
    }
    if (quoted.size() == 2) layouts[heading].emplace_back(quoted[0], quoted[1]);
  }
  return layouts;
}

TEST(ProtocolPage, SpecifiesEveryFieldInOrder) {
  const auto page = LayoutsOfThePage();
  for (const auto& [name, fields] : LayoutsOfTheCode()) {
    ASSERT_TRUE(page.contains(name)) << name;
    EXPECT_THAT(page.at(name), testing::ElementsAreArray(fields)) << name;
  }
}

TEST(ProtocolPage, NamesEveryErrorCodeAndLimit) {
  const std::string page = ReadTestFile(SHOAL_SOURCE_DIR "/docs/protocol.md");
  for (uint8_t code = 1; IsValidCode(code); ++code) {
    const std::string row = "| " + std::to_string(code) + " | `" +
                            std::string(CodeName(static_cast<Code>(code))) + "` |";
    EXPECT_NE(page.find(row), std::string::npos) << row;
  }
  EXPECT_EQ(kLimits.frame_bytes, 64u << 20);
  for (const char* limit : {"64 MiB", "4,096 rows", "1,048,576 items", "at most 4,096)"}) {
    EXPECT_NE(page.find(limit), std::string::npos) << limit;
  }
  EXPECT_EQ(kLimits.rows, 4096u);
  EXPECT_EQ(kLimits.list_items, 1048576u);
  EXPECT_EQ(kLimits.string_bytes, 4096u);
}

}  // namespace
}  // namespace shoal::wire
