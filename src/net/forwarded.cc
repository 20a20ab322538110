#include "net/forwarded.h"

#include <string_view>
#include <utility>

namespace shoal::net {
namespace {

constexpr size_t kMaxHostBytes = 255;

std::string_view Trimmed(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

// Cuts the last element off a comma-separated list.
std::string_view TakeLast(std::string_view& list) {
  const size_t comma = list.rfind(',');
  const std::string_view last = comma == std::string_view::npos ? list : list.substr(comma + 1);
  list = comma == std::string_view::npos ? std::string_view() : list.substr(0, comma);
  return Trimmed(last);
}

// All fields of that name as one list, in order.
std::string Joined(const Headers& headers, std::string_view name) {
  std::string out;
  for (const auto& [field, value] : headers) {
    if (!EqualsIgnoreCase(field, name)) continue;
    if (!out.empty()) out += ',';
    out += value;
  }
  return out;
}

bool IsHost(std::string_view host) {
  return !host.empty() && host.size() <= kMaxHostBytes &&
         host.find_first_not_of(
             "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
             "0123456789.-_:[]") == std::string_view::npos;
}

}  // namespace

Result<TrustedProxies> TrustedProxies::Parse(const std::vector<std::string>& ranges) {
  TrustedProxies out;
  for (const std::string& text : ranges) {
    ASSIGN_OR_RETURN(AddressRange range, AddressRange::Parse(text));
    out.ranges_.push_back(range);
  }
  return out;
}

bool TrustedProxies::Trusts(std::string_view address) const {
  if (ranges_.empty()) return false;
  const Result<AddressBytes> bytes = ParseAddress(address);
  if (!bytes) return false;
  for (const AddressRange& range : ranges_) {
    if (range.Contains(*bytes)) return true;
  }
  return false;
}

void TrustedProxies::Apply(Request& request) const {
  if (Trusts(request.peer_address)) {
    const std::string chain = Joined(request.headers, "X-Forwarded-For");
    for (std::string_view rest = chain; !rest.empty();) {
      const std::string_view hop = TakeLast(rest);
      if (!ParseAddress(hop)) break;  // Some write "unknown": the nearest known one stays.
      request.peer_address = hop;
      if (!Trusts(hop)) break;
    }
    // The nearest proxy's word counts: it is the last of a list.
    const std::string protocols = Joined(request.headers, "X-Forwarded-Proto");
    std::string_view protocol_list = protocols;
    const std::string_view protocol = TakeLast(protocol_list);
    if (EqualsIgnoreCase(protocol, "https")) request.is_secure = true;
    if (EqualsIgnoreCase(protocol, "http")) request.is_secure = false;
    const std::string hosts = Joined(request.headers, "X-Forwarded-Host");
    std::string_view host_list = hosts;
    const std::string_view host = TakeLast(host_list);
    if (IsHost(host)) request.headers.Set("Host", host);
  }
  for (const char* name : {"X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host"}) {
    request.headers.Remove(name);
  }
}

}  // namespace shoal::net
