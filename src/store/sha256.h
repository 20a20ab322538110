// SHA-256 of blobs: of the whole, and of every 16 MiB chunk, so that a transfer can be verified and
// resumed piece by piece.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace shoal::store {

using Sha256 = std::array<uint8_t, 32>;

// 64 lower-case hex digits: how a graph names the blob its weights lie in.
std::string Hex(const Sha256& sha);
// kInvalidArgument unless `text` is 64 lower-case hex digits.
Result<Sha256> ParseSha256(std::string_view text);

class Sha256Hasher {
 public:
  Sha256Hasher();
  void Update(Bytes bytes);
  // The hash of everything since the last Finish; the hasher starts anew.
  Sha256 Finish();

 private:
  struct Free {
    void operator()(void* context) const;
  };
  std::unique_ptr<void, Free> context_;
};

Sha256 HashBytes(Bytes bytes);

inline constexpr uint64_t kChunkBytes = 16u << 20;

// A blob: what it is called and how its parts are checked.
struct Blob {
  Sha256 sha{};
  uint64_t bytes = 0;
  std::vector<Sha256>
      chunks;  // Of every kChunkBytes, the last one shorter; none for an empty blob.
  bool operator==(const Blob&) const = default;
};

// Hashes a blob that comes in pieces of any size.
class BlobHasher {
 public:
  void Update(Bytes bytes);
  Blob Finish();

 private:
  Sha256Hasher whole_;
  Sha256Hasher chunk_;
  uint64_t in_chunk_bytes_ = 0;
  Blob blob_;
};

Blob HashBlob(Bytes bytes);

}  // namespace shoal::store
