// One file of an assignment on its way from the coordinator into the cache: by HTTP, in chunks of
// 16 MiB that are each checked before they are kept, gone on with where it was left.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "net/client.h"
#include "net/event_loop.h"
#include "volunteer/blob_cache.h"
#include "volunteer/work_thread.h"
#include "wire/frames.h"

namespace shoal::volunteer {

// Where files come from.
struct FileOrigin {
  std::string url;  // "http://host:port": files' paths are appended.
  net::TlsClientOptions tls;
};

struct DownloadCallbacks {
  // Bytes of the file that are there since the last call; `fetched` of them crossed the network. A
  // chunk that has to be fetched again takes its `done` back.
  std::function<void(int64_t done, int64_t fetched)> on_bytes;
  // Once: the file lies in the cache, checked as a whole; or kNotFound, kDataLoss, kUnavailable
  // after several attempts, or what the disk said.
  std::function<void(Status)> on_done;
};

// Destroyed: given up, no callback comes any more. What was checked stays for the next attempt.
class Download {
 public:
  // `file` has been checked (assignment.h). All references outlive the download.
  Download(net::EventLoop& loop, WorkThread& work, const BlobCache& cache, FileOrigin origin,
           wire::StageFile file, DownloadCallbacks callbacks);
  ~Download();
  Download(const Download&) = delete;
  Download& operator=(const Download&) = delete;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace shoal::volunteer
