// All files of an assignment: found in the cache and checked, or downloaded, a few at a time.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "volunteer/blob_cache.h"
#include "volunteer/download.h"
#include "volunteer/work_thread.h"
#include "wire/frames.h"

namespace shoal::volunteer {

struct LoadProgress {
  uint64_t bytes_done = 0;
  uint64_t bytes_total = 0;
  uint64_t bytes_fetched = 0;  // Of bytes_done, those that crossed the network.
};

// Checked, by location.
using StagePaths = std::map<std::string, std::filesystem::path>;

struct FetchCallbacks {
  std::function<void(const LoadProgress&)> on_progress;
  std::function<void(Result<StagePaths>)> on_done;  // Once.
};

// Files that this process has checked already; they are not read again.
using CheckedFiles = std::set<std::string>;

// Destroyed: given up, no callback comes any more.
class StageFetch {
 public:
  // `assign` has been checked. All references outlive the fetch. The callbacks may destroy it.
  StageFetch(net::EventLoop& loop, WorkThread& work, const BlobCache& cache, FileOrigin origin,
             CheckedFiles& checked, const wire::Assign& assign, FetchCallbacks callbacks);
  ~StageFetch();
  StageFetch(const StageFetch&) = delete;
  StageFetch& operator=(const StageFetch&) = delete;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace shoal::volunteer
