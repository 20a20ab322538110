#include "net/file_reader.h"

#include <utility>

namespace shoal::net {

FileReader::FileReader(EventLoop& loop) : loop_(loop) {}

void FileReader::Stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void FileReader::Read(std::shared_ptr<const OpenFile> file, uint64_t offset, size_t length,
                      Callback callback) {
  if (stopping_) return;
  if (!thread_.joinable()) thread_ = std::thread([this] { Work(); });
  {
    const std::lock_guard lock(mutex_);
    jobs_.push_back({std::move(file), offset, length, std::move(callback)});
  }
  wake_.notify_one();
}

void FileReader::Work() {
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
    if (stopping_) return;
    Job job = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    auto bytes = std::make_shared<Result<ByteVector>>(ByteVector(job.length));
    if (const Status status = job.file->ReadAt(job.offset, **bytes); !status) {
      *bytes = std::unexpected(status.error());
    }
    // The callback moves on with the result: it must be called, and die, on the loop's thread.
    loop_.Post([callback = std::move(job.callback), bytes] { callback(std::move(*bytes)); });
    job = Job();
    lock.lock();
  }
}

}  // namespace shoal::net
