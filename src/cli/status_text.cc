#include "cli/status_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json/serialize.hpp>
#include <vector>

#include "base/bytes.h"
#include "base/str_cat.h"
#include "cli/remote.h"
#include "model/json.h"

namespace shoal::cli {

namespace {

using model::JsonObject;

constexpr size_t kVolunteersMax = 1 << 20;
constexpr uint64_t kCountMax = uint64_t{1} << 53;
constexpr double kRateMax = 1e12;
constexpr size_t kColumns = 8;

using Row = std::array<std::string, kColumns>;

Result<std::string> ShortText(const JsonObject& object, std::string_view name) {
  ASSIGN_OR_RETURN(const std::string text, object.TextOr(name, ""));
  return Printable(text);
}

// "3-6" of {"blocks": [[3, 7]]}: the first and the last block. "-" for none.
Result<std::string> SpanOf(const JsonObject& volunteer) {
  const boost::json::value* const spans = volunteer.Find("blocks");
  const auto* list = spans == nullptr ? nullptr : spans->if_array();
  if (list == nullptr) return volunteer.Wrong("blocks", "is no list");
  std::string text;
  for (const boost::json::value& span : *list) {
    const auto* pair = span.if_array();
    const bool is_pair = pair != nullptr && pair->size() == 2 && (*pair)[0].is_int64() &&
                         (*pair)[1].is_int64() && (*pair)[0].get_int64() < (*pair)[1].get_int64();
    if (!is_pair) return volunteer.Wrong("blocks", "has something that is no [first, last)");
    const int64_t first = (*pair)[0].get_int64();
    const int64_t last = (*pair)[1].get_int64() - 1;
    text += StrCat(text.empty() ? "" : ",", first);
    if (last != first) text += StrCat("-", last);
  }
  return text.empty() ? "-" : text;
}

Result<Row> RowOf(const JsonObject& volunteer) {
  ASSIGN_OR_RETURN(const uint64_t id, volunteer.Uint("id", 0, kCountMax));
  ASSIGN_OR_RETURN(std::string state, ShortText(volunteer, "state"));
  ASSIGN_OR_RETURN(std::string span, SpanOf(volunteer));
  ASSIGN_OR_RETURN(const uint64_t memory, volunteer.UintOr("memory_bytes", 0, 0, kCountMax));
  ASSIGN_OR_RETURN(std::string executor, ShortText(volunteer, "executor"));
  ASSIGN_OR_RETURN(const double round_trip, volunteer.NumberOr("round_trip_ms", 0, 0, kRateMax));
  ASSIGN_OR_RETURN(const uint64_t tokens, volunteer.UintOr("tokens_done", 0, 0, kCountMax));
  ASSIGN_OR_RETURN(std::string platform, ShortText(volunteer, "platform"));
  ASSIGN_OR_RETURN(const uint64_t done, volunteer.UintOr("bytes_done", 0, 0, kCountMax));
  ASSIGN_OR_RETURN(const uint64_t total, volunteer.UintOr("bytes_total", 0, 0, kCountMax));
  if (state == "loading" && total > 0) state += fmt::format(" {} %", 100 * done / total);
  return Row{StrCat("#", id),    std::move(state),    std::move(span),
             FormatSize(memory), std::move(executor), fmt::format("{:.1f} ms", round_trip),
             StrCat(tokens),     std::move(platform)};
}

// Columns as wide as what is in them; the last one ends where its text ends.
std::string Table(const std::vector<Row>& rows) {
  std::array<size_t, kColumns> widths = {};
  for (const Row& row : rows) {
    for (size_t i = 0; i < kColumns; ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (const Row& row : rows) {
    for (size_t i = 0; i + 1 < kColumns; ++i) text += fmt::format("{:<{}}  ", row[i], widths[i]);
    text += row.back() + "\n";
  }
  return text;
}

Result<std::string> RouteOf(const JsonObject& status) {
  ASSIGN_OR_RETURN(const auto stages, status.Objects("route", kVolunteersMax));
  std::string text;
  for (const JsonObject& stage : stages) {
    ASSIGN_OR_RETURN(const uint64_t id, stage.Uint("id", 0, kCountMax));
    ASSIGN_OR_RETURN(const auto span, stage.Uints("blocks", kCountMax, 2));
    if (span.size() != 2 || span[0] >= span[1]) return stage.Wrong("blocks", "is no span");
    text += fmt::format("{}{}-{} on #{}", text.empty() ? "" : " > ", span[0], span[1] - 1, id);
  }
  return text;
}

}  // namespace

Result<StatusSummary> Summarise(const boost::json::value& status, const std::string& url) {
  ASSIGN_OR_RETURN(const JsonObject object, JsonObject::From(status, url));
  StatusSummary summary;
  summary.json = boost::json::serialize(status);
  ASSIGN_OR_RETURN(summary.is_ready, object.Bool("ready"));
  ASSIGN_OR_RETURN(const std::string model, ShortText(object, "model"));
  ASSIGN_OR_RETURN(const std::string detail, ShortText(object, "detail"));
  ASSIGN_OR_RETURN(const uint64_t missing, object.UintOr("missing_bytes", 0, 0, kCountMax));
  ASSIGN_OR_RETURN(const uint64_t blocks, object.Uint("blocks", 0, kCountMax));
  ASSIGN_OR_RETURN(const uint64_t context, object.UintOr("context_tokens", 0, 0, kCountMax));
  ASSIGN_OR_RETURN(const bool is_private, object.BoolOr("private", false));
  ASSIGN_OR_RETURN(const uint64_t sessions, object.UintOr("sessions", 0, 0, kCountMax));
  ASSIGN_OR_RETURN(const double rate, object.NumberOr("tokens_per_second", 0, 0, kRateMax));
  ASSIGN_OR_RETURN(const std::string route, RouteOf(object));
  ASSIGN_OR_RETURN(const auto volunteers, object.Objects("volunteers", kVolunteersMax));
  std::vector<Row> rows = {
      {"", "state", "blocks", "memory", "executor", "away", "tokens", "platform"}};
  for (const JsonObject& volunteer : volunteers) {
    ASSIGN_OR_RETURN(Row row, RowOf(volunteer));
    rows.push_back(std::move(row));
  }
  std::string& text = summary.text;
  text = fmt::format("{} at {}: {}\n", model, url, summary.is_ready ? "ready" : "not ready");
  if (!detail.empty()) text += fmt::format("  {}\n", detail);
  if (missing > 0) text += fmt::format("  missing    {}\n", FormatSize(missing));
  text += fmt::format("  model      {} blocks, context {} tokens{}\n", blocks, context,
                      is_private ? "; joining needs a secret" : "");
  text += fmt::format("  answers    {} being made or waiting, {:.1f} tokens/s\n", sessions, rate);
  if (!route.empty()) text += fmt::format("  route      {}\n", route);
  text += fmt::format("  volunteers {}\n", volunteers.size());
  if (!volunteers.empty()) text += "\n" + Table(rows);
  return summary;
}

}  // namespace shoal::cli
