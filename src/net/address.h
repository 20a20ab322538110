// IP addresses as text: ranges of them, and what counts as one peer.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace shoal::net {

// 16 bytes; IPv4 is written as IPv6 has it (::ffff:10.0.0.1), so that both forms are one address.
using AddressBytes = std::array<uint8_t, 16>;

// "10.0.0.1", "::1", "fe80::1%eth0" (the zone is dropped). kInvalidArgument for anything else.
Result<AddressBytes> ParseAddress(std::string_view text);

// An address with a prefix length: "10.0.0.0/8", "::1", "2001:db8::/32".
class AddressRange {
 public:
  // A bare address is a range of one. kInvalidArgument when bits below the prefix are set.
  static Result<AddressRange> Parse(std::string_view text);
  bool Contains(const AddressBytes& address) const;

 private:
  AddressBytes base_ = {};
  int bits_ = 128;
};

// What one peer's share is counted by: an IPv4 address, or the /64 network of an IPv6 address, of
// which one subscriber has them all. Text that is no address stands for itself.
std::string PeerKey(std::string_view address);

// 127.0.0.0/8, ::1, "localhost" and the names below it.
bool IsLoopbackHost(std::string_view host);

// The host of a Host field or an authority, without port and brackets: "[::1]:80" -> "::1".
std::string_view HostOfAuthority(std::string_view authority);

// This machine's addresses that are up, without link-local ones; loopback comes first.
std::vector<std::string> LocalAddresses();

}  // namespace shoal::net
