#include "store/sha256.h"

#include <gtest/gtest.h>

namespace shoal::store {
namespace {

// FIPS 180-2, appendix B.
TEST(Sha256, KnownAnswers) {
  EXPECT_EQ(Hex(HashBytes(AsBytes("abc"))),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(Hex(HashBytes({})), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  const Sha256 sha = HashBytes(AsBytes("abc"));
  EXPECT_EQ(ParseSha256(Hex(sha)), sha);
  for (const std::string& bad :
       {std::string(64, 'A'), std::string(63, 'a'), std::string(64, 'g')}) {
    EXPECT_FALSE(ParseSha256(bad)) << bad;
  }
}

TEST(HashBlob, HashesTheWholeAndEveryChunk) {
  ByteVector bytes(2 * kChunkBytes + 5);
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<uint8_t>(i * 2654435761u >> 13);
  BlobHasher in_pieces;
  for (size_t at = 0; at < bytes.size(); at += 1000003) {
    in_pieces.Update(Bytes(bytes).subspan(at, std::min<size_t>(1000003, bytes.size() - at)));
  }
  const Blob blob = in_pieces.Finish();
  EXPECT_EQ(blob, HashBlob(bytes));
  EXPECT_EQ(blob.sha, HashBytes(bytes));
  EXPECT_EQ(blob.bytes, bytes.size());
  ASSERT_EQ(blob.chunks.size(), 3u);
  EXPECT_EQ(blob.chunks[1], HashBytes(Bytes(bytes).subspan(kChunkBytes, kChunkBytes)));
  EXPECT_EQ(blob.chunks[2], HashBytes(Bytes(bytes).last(5)));
  EXPECT_EQ(HashBlob(Bytes(bytes).first(kChunkBytes)).chunks.size(), 1u);
  EXPECT_TRUE(HashBlob({}).chunks.empty());
}

}  // namespace
}  // namespace shoal::store
