#include "store/pack.h"

#include <algorithm>

#include "base/str_cat.h"
#include "store/blob_writer.h"

namespace shoal::store {

namespace fs = std::filesystem;

Result<Pack> Pack::Open(const fs::path& folder) {
  std::error_code error;
  if (!fs::exists(folder / kManifestFile, error)) {
    return Fail(Code::kNotFound,
                StrCat(folder.string(), ": no pack there (", kManifestFile, " is missing)"));
  }
  ASSIGN_OR_RETURN(const std::string text,
                   model::ReadFile(folder / kManifestFile, kMaxManifestBytes));
  auto manifest = ParseManifest(text);
  if (!manifest) return FailWithContext(std::move(manifest).error(), folder.string());
  Pack pack(folder, *std::move(manifest));
  for (const auto& [sha, blob] : pack.manifest_.blobs) {
    const fs::path path = BlobPath(folder, sha);
    const uint64_t bytes = fs::file_size(path, error);
    if (error) {
      return Fail(Code::kDataLoss, StrCat(path.string(), ": missing: ", error.message()));
    }
    if (bytes != blob.bytes) {
      return Fail(Code::kDataLoss,
                  StrCat(path.string(), ": has ", bytes, " bytes, should have ", blob.bytes));
    }
  }
  return pack;
}

const Blob* Pack::FindBlob(const Sha256& sha) const {
  const auto found = manifest_.blobs.find(sha);
  return found != manifest_.blobs.end() ? &found->second : nullptr;
}

Result<model::MappedFile> Pack::MapBlob(const Sha256& sha) const {
  const Blob* blob = FindBlob(sha);
  if (blob == nullptr) {
    return Fail(Code::kNotFound, StrCat("blob ", Hex(sha), " is not in the pack"));
  }
  ASSIGN_OR_RETURN(model::MappedFile file, model::MappedFile::Open(BlobPath(folder_, sha)));
  if (file.bytes().size() != blob->bytes) {
    return Fail(Code::kDataLoss, StrCat(BlobPath(folder_, sha).string(), ": has ",
                                        file.bytes().size(), " bytes, should have ", blob->bytes));
  }
  return file;
}

Result<std::string> Pack::ReadPackedFile(std::string_view name) const {
  const auto found = manifest_.files.find(std::string(name));
  if (found == manifest_.files.end()) {
    return Fail(Code::kNotFound, StrCat(folder_.string(), ": the pack has no ", name));
  }
  ASSIGN_OR_RETURN(const model::MappedFile file, MapBlob(found->second));
  if (HashBytes(file.bytes()) != found->second) {
    return Fail(Code::kDataLoss, StrCat(BlobPath(folder_, found->second).string(),
                                        ": does not have the hash it is named by"));
  }
  return std::string(AsText(file.bytes()));
}

Status Pack::VerifyBlob(const Sha256& sha, const std::function<void(uint64_t)>& progress) const {
  ASSIGN_OR_RETURN(const model::MappedFile file, MapBlob(sha));
  const Blob& blob = *FindBlob(sha);
  BlobHasher hasher;
  for (uint64_t at = 0; at < blob.bytes; at += kChunkBytes) {
    const Bytes chunk = file.bytes().subspan(at, std::min(kChunkBytes, blob.bytes - at));
    hasher.Update(chunk);
    file.Forget(chunk);
    if (progress) progress(chunk.size());
  }
  const Blob found = hasher.Finish();
  if (found == blob) return {};
  const std::string path = BlobPath(folder_, sha).string();
  std::string detail = found.sha == sha
                           ? StrCat(path, ": the manifest's chunk hashes do not fit it")
                           : StrCat(path, ": does not have the hash it is named by");
  for (size_t i = 0; i < blob.chunks.size(); ++i) {
    if (found.chunks[i] == blob.chunks[i]) continue;
    detail += StrCat("; chunk ", i, " of ", blob.chunks.size(), " is damaged");
    break;
  }
  return Fail(Code::kDataLoss, std::move(detail));
}

std::vector<Error> Pack::Verify(const std::function<void(uint64_t, uint64_t)>& progress) const {
  uint64_t total = 0;
  for (const auto& [sha, blob] : manifest_.blobs) total += blob.bytes;
  std::vector<Error> problems;
  uint64_t done = 0;
  for (const auto& [sha, blob] : manifest_.blobs) {
    const uint64_t before = done;
    const Status status = VerifyBlob(sha, [&](uint64_t bytes) {
      done += bytes;
      progress(done, total);
    });
    if (!status) problems.push_back(status.error());
    done = before + blob.bytes;
  }
  return problems;
}

}  // namespace shoal::store
