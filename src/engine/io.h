// The graph contract: by which names a stage graph's inputs and outputs are known.
//
// Blocks are numbered: 0 the embedding, 1..L the layers, L+1 the final norm and head. A graph of
// blocks [a, b) has
//   tokens                    i32 [batch, sequence]                     if a == 0, else
//   hidden.{a}                f32 [batch, sequence, H]
//   positions                 i32 [batch, sequence]                     if block 0 has a table of
//   them seqlens_k                 i32 [batch]                               if there are layers
//   total_sequence_length     i32 []                                    if there are layers
//   past.{l}.key, .value      f32 [batch, kv_heads, past_length, head_size]   per layer block l
//   logit_rows                i32 [selected]                            if b == L+2
// and gives
//   hidden.{b}                f32 [batch, sequence, H]                  if b < L+2, else
//   logits                    f32 [selected, V]
//   present.{l}.key, .value   f32 [batch, kv_heads, total_length, head_size]  per layer block l
//
// A part of a stage whose layer m has its experts elsewhere ends, or begins, in the middle of that
// layer: with several values of rows instead of hidden.{b}, all of one layer, from
//   residual.{m}, routed.{m}, expert_sum.{m}   f32 [batch, sequence, H]
//   routes.{m}                                 f32 [batch, sequence, experts]
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string_view>

namespace shoal::engine {

inline constexpr std::string_view kTokens = "tokens";
inline constexpr std::string_view kPositions = "positions";
inline constexpr std::string_view kSeqlensK = "seqlens_k";
inline constexpr std::string_view kTotalSequenceLength = "total_sequence_length";
inline constexpr std::string_view kLogitRows = "logit_rows";
inline constexpr std::string_view kLogits = "logits";

// Values of rows that cross from one graph to another, in the order in which they lie side by side
// in a row.
enum class RowValueKind : uint8_t { kHidden, kResidual, kRouted, kRoutes, kExpertSum };
struct RowValueName {
  RowValueKind kind = RowValueKind::kHidden;
  uint32_t block = 0;
  auto operator<=>(const RowValueName&) const = default;
};
// "hidden.{b}", "routed.{b}" and so on; nothing for another name.
std::optional<RowValueName> ParseRowValueName(std::string_view name);

// The two halves of "past.{b}.key": which cache it is.
struct CacheName {
  uint32_t block = 0;
  bool is_key = false;  // Else the value.
  bool operator==(const CacheName&) const = default;
};
std::optional<CacheName> ParsePastName(std::string_view name);
std::optional<CacheName> ParsePresentName(std::string_view name);

}  // namespace shoal::engine
