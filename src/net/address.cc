#include "net/address.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "base/str_cat.h"
#include "net/headers.h"

namespace shoal::net {
namespace {

constexpr std::array<uint8_t, 12> kMapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
constexpr int kMappedBits = 96;

bool IsIpv4(const AddressBytes& address) {
  return std::equal(kMapped.begin(), kMapped.end(), address.begin());
}

std::string ToText(const AddressBytes& address) {
  std::array<char, INET6_ADDRSTRLEN> text = {};
  const bool is_ipv4 = IsIpv4(address);
  const uint8_t* const bytes = address.data() + (is_ipv4 ? kMapped.size() : 0);
  inet_ntop(is_ipv4 ? AF_INET : AF_INET6, bytes, text.data(), text.size());
  return text.data();
}

// Clears everything below the first `bits` bits.
AddressBytes Masked(AddressBytes address, int bits) {
  for (int at = 0; at < 16; ++at) {
    const int kept = std::clamp(bits - at * 8, 0, 8);
    address[at] = static_cast<uint8_t>(address[at] & (0xff00 >> kept));
  }
  return address;
}

}  // namespace

Result<AddressBytes> ParseAddress(std::string_view text) {
  const std::string address(text.substr(0, text.find('%')));
  AddressBytes bytes = {};
  if (inet_pton(AF_INET6, address.c_str(), bytes.data()) == 1) return bytes;
  std::copy(kMapped.begin(), kMapped.end(), bytes.begin());
  if (address.size() == text.size() &&
      inet_pton(AF_INET, address.c_str(), bytes.data() + kMapped.size()) == 1) {
    return bytes;
  }
  return Fail(Code::kInvalidArgument,
              StrCat("not an IP address: \"", text.substr(0, 64), "\" (such as 10.0.0.1 or ::1)"));
}

Result<AddressRange> AddressRange::Parse(std::string_view text) {
  const size_t slash = text.find('/');
  AddressRange range;
  ASSIGN_OR_RETURN(range.base_, ParseAddress(text.substr(0, slash)));
  if (slash == std::string_view::npos) return range;
  const bool is_ipv4 = text.substr(0, slash).find(':') == std::string_view::npos;
  const std::string_view bits = text.substr(slash + 1);
  const auto [end, error] = std::from_chars(bits.data(), bits.data() + bits.size(), range.bits_);
  const int most = is_ipv4 ? 32 : 128;
  if (error != std::errc() || end != bits.data() + bits.size() || range.bits_ < 0 ||
      range.bits_ > most) {
    return Fail(Code::kInvalidArgument,
                StrCat("the prefix length of ", text, " must be a number from 0 to ", most));
  }
  if (is_ipv4) range.bits_ += kMappedBits;
  const AddressBytes base = Masked(range.base_, range.bits_);
  if (base != range.base_) {
    return Fail(Code::kInvalidArgument,
                StrCat(text, " has bits below its prefix; the range begins at ", ToText(base)));
  }
  return range;
}

bool AddressRange::Contains(const AddressBytes& address) const {
  return Masked(address, bits_) == base_;
}

std::string PeerKey(std::string_view address) {
  const Result<AddressBytes> bytes = ParseAddress(address);
  if (!bytes) return std::string(address);
  constexpr int kSubscriberBits = 64;
  return IsIpv4(*bytes) ? ToText(*bytes) : StrCat(ToText(Masked(*bytes, kSubscriberBits)), "/64");
}

bool IsLoopbackHost(std::string_view host) {
  if (EqualsIgnoreCase(host, "localhost")) return true;
  constexpr std::string_view kBelow = ".localhost";
  if (host.size() > kBelow.size() &&
      EqualsIgnoreCase(host.substr(host.size() - kBelow.size()), kBelow)) {
    return true;
  }
  const Result<AddressBytes> bytes = ParseAddress(host);
  if (!bytes) return false;
  if (IsIpv4(*bytes)) return (*bytes)[kMapped.size()] == 127;
  return *bytes == AddressBytes{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
}

std::string_view HostOfAuthority(std::string_view authority) {
  if (authority.starts_with('[')) {
    const size_t end = authority.find(']');
    return end == std::string_view::npos ? authority : authority.substr(1, end - 1);
  }
  return authority.substr(0, authority.find(':'));
}

std::vector<std::string> LocalAddresses() {
  std::vector<std::string> loopback;
  std::vector<std::string> others;
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) return loopback;
  for (const ifaddrs* at = list; at != nullptr; at = at->ifa_next) {
    if (at->ifa_addr == nullptr || (at->ifa_flags & IFF_UP) == 0) continue;
    AddressBytes bytes = {};
    if (at->ifa_addr->sa_family == AF_INET) {
      sockaddr_in address;
      std::memcpy(&address, at->ifa_addr, sizeof(address));
      std::copy(kMapped.begin(), kMapped.end(), bytes.begin());
      std::memcpy(bytes.data() + kMapped.size(), &address.sin_addr, 4);
    } else if (at->ifa_addr->sa_family == AF_INET6) {
      sockaddr_in6 address;
      std::memcpy(&address, at->ifa_addr, sizeof(address));
      if (IN6_IS_ADDR_LINKLOCAL(&address.sin6_addr)) continue;
      std::memcpy(bytes.data(), &address.sin6_addr, bytes.size());
    } else {
      continue;
    }
    std::string text = ToText(bytes);
    std::vector<std::string>& group = IsLoopbackHost(text) ? loopback : others;
    if (std::ranges::find(group, text) == group.end()) group.push_back(std::move(text));
  }
  freeifaddrs(list);
  loopback.insert(loopback.end(), others.begin(), others.end());
  return loopback;
}

}  // namespace shoal::net
