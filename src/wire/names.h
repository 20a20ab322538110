// Names of the wire's enumerations, in JSON and in messages, and which numbers are known.
#pragma once

#include <algorithm>
#include <array>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "wire/frames.h"

namespace shoal::wire {

template <typename Enum>
struct EnumNames;

template <>
struct EnumNames<HopType> {
  static constexpr std::array<std::pair<HopType, std::string_view>, 2> kNames{{
      {HopType::kF32, "f32"},
      {HopType::kF16, "f16"},
  }};
};

template <>
struct EnumNames<PayloadType> {
  static constexpr std::array<std::pair<PayloadType, std::string_view>, 3> kNames{{
      {PayloadType::kTokens, "tokens"},
      {PayloadType::kF32, "f32"},
      {PayloadType::kF16, "f16"},
  }};
};

template <>
struct EnumNames<Kind> {
  static constexpr std::array<std::pair<Kind, std::string_view>, 24> kNames{{
      {Kind::kHello, "hello"},
      {Kind::kProfile, "profile"},
      {Kind::kAssign, "assign"},
      {Kind::kReady, "ready"},
      {Kind::kOpen, "open"},
      {Kind::kStep, "step"},
      {Kind::kToken, "token"},
      {Kind::kCancel, "cancel"},
      {Kind::kRelease, "release"},
      {Kind::kRollback, "rollback"},
      {Kind::kKvExport, "kv-export"},
      {Kind::kKvImport, "kv-import"},
      {Kind::kReplay, "replay"},
      {Kind::kLeave, "leave"},
      {Kind::kPing, "ping"},
      {Kind::kError, "error"},
      {Kind::kBye, "bye"},
      {Kind::kReport, "report"},
      {Kind::kExpertTable, "expert-table"},
      {Kind::kExpertRows, "expert-rows"},
      {Kind::kExpertSums, "expert-sums"},
      {Kind::kExpertRefusal, "expert-refusal"},
      {Kind::kExpertUsage, "expert-usage"},
      {Kind::kKvCopy, "kv-copy"},
  }};
};

// Nothing for a number that is no enumerator.
template <typename Enum>
constexpr std::optional<std::string_view> EnumName(Enum value) {
  for (const auto& [known, name] : EnumNames<Enum>::kNames) {
    if (known == value) return name;
  }
  return std::nullopt;
}

template <typename Enum>
constexpr std::optional<Enum> EnumFromName(std::string_view text) {
  for (const auto& [known, name] : EnumNames<Enum>::kNames) {
    if (name == text) return known;
  }
  return std::nullopt;
}

// The names of an enumeration whose type is known at run time only.
struct Enumerator {
  uint32_t number;
  std::string_view name;
};

namespace internal {

template <typename Enum>
constexpr auto EnumeratorsOf() {
  constexpr auto& kNames = EnumNames<Enum>::kNames;
  std::array<Enumerator, kNames.size()> out{};
  for (size_t i = 0; i < kNames.size(); ++i) {
    out[i] = {static_cast<uint32_t>(kNames[i].first), kNames[i].second};
  }
  return out;
}

}  // namespace internal

template <typename Enum>
inline constexpr auto kEnumerators = internal::EnumeratorsOf<Enum>();

inline const Enumerator* FindEnumerator(std::span<const Enumerator> known, uint32_t number) {
  const auto found = std::ranges::find(known, number, &Enumerator::number);
  return found == known.end() ? nullptr : &*found;
}

inline const Enumerator* FindEnumerator(std::span<const Enumerator> known, std::string_view name) {
  const auto found = std::ranges::find(known, name, &Enumerator::name);
  return found == known.end() ? nullptr : &*found;
}

// "f32, f16": for messages that say what would be right.
inline std::string EnumChoices(std::span<const Enumerator> known) {
  std::string out;
  for (const Enumerator& one : known) {
    if (!out.empty()) out += ", ";
    out += one.name;
  }
  return out;
}

}  // namespace shoal::wire
