// Reads pieces of files on a thread of its own, so that a slow disk never stops the event loop.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include "base/bytes.h"
#include "base/result.h"
#include "net/event_loop.h"
#include "net/file.h"

namespace shoal::net {

class FileReader {
 public:
  explicit FileReader(EventLoop& loop);
  ~FileReader() { Stop(); }
  FileReader(const FileReader&) = delete;
  FileReader& operator=(const FileReader&) = delete;

  using Callback = std::function<void(Result<ByteVector>)>;
  // Calls back from the loop with `length` bytes from `offset`.
  void Read(std::shared_ptr<const OpenFile> file, uint64_t offset, size_t length,
            Callback callback);
  // Waits for the piece that is being read; callbacks that have not been posted yet never come.
  // To be called before the loop goes.
  void Stop();

 private:
  struct Job {
    std::shared_ptr<const OpenFile> file;
    uint64_t offset = 0;
    size_t length = 0;
    Callback callback;
  };

  void Work();

  EventLoop& loop_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Job> jobs_;   // Guarded by mutex_.
  bool stopping_ = false;  // Written under mutex_, by the loop's thread alone.
  std::thread thread_;     // Started by the first Read.
};

}  // namespace shoal::net
