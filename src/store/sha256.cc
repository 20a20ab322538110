#include "store/sha256.h"

#include <openssl/evp.h>

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/str_cat.h"

namespace shoal::store {

namespace {
EVP_MD_CTX* Context(void* context) { return static_cast<EVP_MD_CTX*>(context); }
}  // namespace

std::string Hex(const Sha256& sha) { return ToHex(sha); }

Result<Sha256> ParseSha256(std::string_view text) {
  const bool plain = text.size() == 64 && std::ranges::all_of(text, [](char c) {
                       return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
                     });
  if (!plain) {
    return Fail(Code::kInvalidArgument, StrCat("\"", text.substr(0, 80),
                                               "\" is not a SHA-256 in 64 lower-case hex digits"));
  }
  ASSIGN_OR_RETURN(const ByteVector bytes, FromHex(text));
  Sha256 sha{};
  std::ranges::copy(bytes, sha.begin());
  return sha;
}

void Sha256Hasher::Free::operator()(void* context) const { EVP_MD_CTX_free(Context(context)); }

Sha256Hasher::Sha256Hasher() : context_(EVP_MD_CTX_new()) {
  CHECK(context_ != nullptr);
  CHECK(EVP_DigestInit_ex(Context(context_.get()), EVP_sha256(), nullptr) == 1);
}

void Sha256Hasher::Update(Bytes bytes) {
  CHECK(EVP_DigestUpdate(Context(context_.get()), bytes.data(), bytes.size()) == 1);
}

Sha256 Sha256Hasher::Finish() {
  Sha256 sha{};
  unsigned size = 0;
  CHECK(EVP_DigestFinal_ex(Context(context_.get()), sha.data(), &size) == 1 && size == sha.size());
  CHECK(EVP_DigestInit_ex(Context(context_.get()), EVP_sha256(), nullptr) == 1);
  return sha;
}

Sha256 HashBytes(Bytes bytes) {
  Sha256Hasher hasher;
  hasher.Update(bytes);
  return hasher.Finish();
}

void BlobHasher::Update(Bytes bytes) {
  whole_.Update(bytes);
  blob_.bytes += bytes.size();
  while (!bytes.empty()) {
    const size_t count = std::min<uint64_t>(bytes.size(), kChunkBytes - in_chunk_bytes_);
    chunk_.Update(bytes.first(count));
    in_chunk_bytes_ += count;
    bytes = bytes.subspan(count);
    if (in_chunk_bytes_ == kChunkBytes) {
      blob_.chunks.push_back(chunk_.Finish());
      in_chunk_bytes_ = 0;
    }
  }
}

Blob BlobHasher::Finish() {
  if (in_chunk_bytes_ > 0) blob_.chunks.push_back(chunk_.Finish());
  in_chunk_bytes_ = 0;
  blob_.sha = whole_.Finish();
  return std::exchange(blob_, Blob{});
}

Blob HashBlob(Bytes bytes) {
  BlobHasher hasher;
  hasher.Update(bytes);
  return hasher.Finish();
}

}  // namespace shoal::store
