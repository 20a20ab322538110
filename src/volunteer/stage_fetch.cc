#include "volunteer/stage_fetch.h"

#include <optional>
#include <utility>

#include "volunteer/assignment.h"

namespace shoal::volunteer {

namespace {
constexpr size_t kParallelDownloads = 4;
}  // namespace

struct StageFetch::State : std::enable_shared_from_this<State> {
  State(net::EventLoop& event_loop, WorkThread& thread, const BlobCache& blob_cache,
        FileOrigin where, CheckedFiles& checked_files, const wire::Assign& assign,
        FetchCallbacks told)
      : loop(event_loop),
        work(thread),
        cache(blob_cache),
        origin(std::move(where)),
        checked(checked_files),
        callbacks(std::move(told)) {
    files = GraphsOf(assign);
    files.insert(files.end(), assign.weights.begin(), assign.weights.end());
    downloads.resize(files.size());
    progress.bytes_total = FileBytes(assign);
  }

  net::EventLoop& loop;
  WorkThread& work;
  const BlobCache& cache;
  const FileOrigin origin;
  CheckedFiles& checked;
  FetchCallbacks callbacks;
  std::vector<wire::StageFile> files;
  std::vector<std::unique_ptr<Download>> downloads;  // By file; null when not under way.
  std::vector<size_t> missing;                       // Files to download, the next one last.
  size_t under_way = 0;
  LoadProgress progress;
  StagePaths paths;
  bool over = false;

  void Finish(Result<StagePaths> result) {
    if (over) return;
    over = true;
    downloads.clear();
    const auto done = std::exchange(callbacks, {}).on_done;
    done(std::move(result));
  }

  void Count(int64_t done, int64_t fetched) {
    progress.bytes_done += static_cast<uint64_t>(done);
    progress.bytes_fetched += static_cast<uint64_t>(fetched);
    callbacks.on_progress(progress);
  }

  // Looks for the files from `index` on in the cache, and reads those that were never checked.
  void Check(size_t index) {
    for (; index < files.size(); ++index) {
      const wire::StageFile& file = files[index];
      const auto path = cache.Find(file.location, file.bytes);
      if (path && !checked.contains(file.location)) return Verify(index, *path);
      if (path) {
        Found(index, *path);
      } else {
        missing.push_back(index);
      }
    }
    DownloadMissing();
  }

  // Reads the file, then goes on with the next one.
  void Verify(size_t index, const std::filesystem::path& path) {
    const auto status = std::make_shared<Status>();
    work.Do(
        [path, location = files[index].location, status] { *status = VerifyFile(path, location); },
        [self = shared_from_this(), index, path, status] {
          if (self->over) return;
          if (*status) {
            self->Found(index, path);
          } else {
            self->cache.Remove(self->files[index].location);
            self->missing.push_back(index);
          }
          self->Check(index + 1);
        });
  }

  void Found(size_t index, const std::filesystem::path& path) {
    const wire::StageFile& file = files[index];
    checked.insert(file.location);
    paths[file.location] = path;
    Count(static_cast<int64_t>(file.bytes), 0);
  }

  void DownloadMissing() {
    if (missing.empty()) return Finish(std::move(paths));
    uint64_t bytes = 0;
    std::set<std::string> keep;
    for (const wire::StageFile& file : files) keep.insert(file.location);
    for (const size_t index : missing) bytes += files[index].bytes;
    if (Status room = cache.MakeRoom(bytes, keep); !room) {
      return Finish(std::unexpected(room.error()));
    }
    for (const wire::StageFile& file : files) {
      if (!paths.contains(file.location)) checked.erase(file.location);
    }
    while (under_way < kParallelDownloads && !missing.empty()) DownloadNext();
  }

  void DownloadNext() {
    const size_t index = missing.back();
    missing.pop_back();
    ++under_way;
    downloads[index] = std::make_unique<Download>(
        loop, work, cache, origin, files[index],
        DownloadCallbacks{
            .on_bytes = [this](int64_t done, int64_t fetched) { Count(done, fetched); },
            .on_done =
                [self = weak_from_this(), index](Status status) {
                  if (const auto state = self.lock()) state->Downloaded(index, std::move(status));
                }});
  }

  void Downloaded(size_t index, Status status) {
    if (!status) return Finish(std::unexpected(status.error()));
    const std::string& location = files[index].location;
    checked.insert(location);
    paths[location] = cache.PathOf(location);
    --under_way;
    if (!missing.empty()) return DownloadNext();
    if (under_way == 0) Finish(std::move(paths));
  }
};

StageFetch::StageFetch(net::EventLoop& loop, WorkThread& work, const BlobCache& cache,
                       FileOrigin origin, CheckedFiles& checked, const wire::Assign& assign,
                       FetchCallbacks callbacks)
    : state_(std::make_shared<State>(loop, work, cache, std::move(origin), checked, assign,
                                     std::move(callbacks))) {
  // Not before the caller holds this object.
  loop.Post([state = state_] {
    if (!state->over) state->Check(0);
  });
}

StageFetch::~StageFetch() {
  state_->over = true;
  state_->downloads.clear();
}

}  // namespace shoal::volunteer
