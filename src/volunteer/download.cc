#include "volunteer/download.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/str_cat.h"
#include "store/sha256.h"

namespace shoal::volunteer {

namespace {

// Attempts for a chunk that the network did not deliver, each after a longer wait.
constexpr int kAttemptsMax = 5;
constexpr net::Duration kRetry = std::chrono::milliseconds(500);
// Answers that were delivered and are not what was promised.
constexpr int kWrongMax = 2;

Code CodeOfStatus(int status) {
  if (status == 404 || status == 410) return Code::kNotFound;
  return status >= 500 || status == 429 ? Code::kUnavailable : Code::kFailedPrecondition;
}

}  // namespace

// Lives on the loop's thread, but for the file and the hasher, which only jobs on the work thread
// touch while one is under way.
struct Download::State : std::enable_shared_from_this<State> {
  State(net::EventLoop& event_loop, WorkThread& thread, const BlobCache& blob_cache,
        FileOrigin where, wire::StageFile what, DownloadCallbacks told)
      : loop(event_loop),
        work(thread),
        cache(blob_cache),
        origin(std::move(where)),
        file(std::move(what)),
        callbacks(std::move(told)),
        retry(event_loop) {}

  net::EventLoop& loop;
  WorkThread& work;
  const BlobCache& cache;
  const FileOrigin origin;
  const wire::StageFile file;
  DownloadCallbacks callbacks;  // Emptied at the end.
  net::Timer retry;
  std::unique_ptr<net::ClientCall> call;
  std::optional<PartialFile> partial;
  store::Sha256Hasher whole;
  size_t next = 0;  // The chunk that is wanted.
  int attempts = 0;
  int wrong = 0;
  ByteVector body;
  std::optional<Error> refusal;  // What is wrong with the answer under way.
  bool over = false;

  uint64_t From() const { return next * store::kChunkBytes; }
  size_t Size() const {
    return static_cast<size_t>(std::min<uint64_t>(store::kChunkBytes, file.bytes - From()));
  }
  bool IsChunk(size_t index, Bytes bytes) const {
    return store::HashBytes(bytes) == file.chunks[index];
  }
  void Count(int64_t done, int64_t fetched) { callbacks.on_bytes(done, fetched); }

  void Finish(Status status) {
    over = true;
    call = nullptr;
    retry.Cancel();
    partial.reset();
    const auto done = std::exchange(callbacks, {}).on_done;
    done(std::move(status));
  }

  // Runs `job` on the work thread and `then` with its result, unless the download is given up.
  template <typename Job, typename Then>
  void Do(Job job, Then then) {
    using Value = decltype(job());
    const auto value = std::make_shared<std::optional<Value>>();
    work.Do([self = shared_from_this(), job = std::move(job), value] { *value = job(); },
            [self = shared_from_this(), then = std::move(then), value] {
              if (!self->over) then(std::move(**value));
            });
  }

  // Takes up what an earlier attempt has left, chunk by chunk.
  void Begin() {
    Do(
        [this]() -> Result<size_t> {
          ASSIGN_OR_RETURN(PartialFile opened, cache.Begin(file.location));
          partial.emplace(std::move(opened));
          size_t good = 0;
          ByteVector chunk;
          for (; good < file.chunks.size(); ++good) {
            const uint64_t from = good * store::kChunkBytes;
            chunk.resize(std::min<uint64_t>(store::kChunkBytes, file.bytes - from));
            if (from + chunk.size() > partial->bytes()) break;
            RETURN_IF_ERROR(partial->Read(from, chunk));
            if (!IsChunk(good, chunk)) break;
            whole.Update(chunk);
          }
          return good;
        },
        [this](Result<size_t> good) {
          if (!good) return Finish(std::unexpected(good.error()));
          next = *good;
          Count(static_cast<int64_t>(std::min(From(), file.bytes)), 0);
          Next();
        });
  }

  void Next() {
    attempts = 0;
    wrong = 0;
    if (next == file.chunks.size()) return Close();
    Fetch();
  }

  void Fetch() {
    body.clear();
    refusal.reset();
    net::ClientRequest request{.url = StrCat(origin.url, file.path), .tls = origin.tls};
    request.headers.Set("Range", StrCat("bytes=", From(), "-", From() + Size() - 1));
    if (wrong > 0) request.headers.Set("Cache-Control", "no-cache");
    request.idle_timeout = std::chrono::seconds(60);
    auto started =
        net::StartCall(loop, std::move(request),
                       {.on_head = [this](int status, const net::Headers&) { OnHead(status); },
                        .on_body = [this](std::string_view bytes) { OnBody(bytes); },
                        .on_done = [this](Status status) { OnDone(std::move(status)); }});
    if (!started) return Finish(std::unexpected(started.error()));
    call = *std::move(started);
  }

  void OnHead(int status) {
    const bool is_whole = status == 200 && Size() == file.bytes;
    if (status == 206 || is_whole) return;
    refusal = Error{CodeOfStatus(status),
                    StrCat(origin.url, file.path, " answered ", status, " to a request for bytes [",
                           From(), ", ", From() + Size(), ")")};
  }

  void OnBody(std::string_view bytes) {
    if (refusal) return;
    if (body.size() + bytes.size() > Size()) {
      refusal = Error{Code::kDataLoss, StrCat(origin.url, file.path, " sent more than the ", Size(),
                                              " bytes asked for")};
      return;
    }
    body.insert(body.end(), bytes.begin(), bytes.end());
    const auto count = static_cast<int64_t>(bytes.size());
    Count(count, count);
  }

  void OnDone(Status status) {
    // Not from within the call's own callback.
    loop.Post([self = shared_from_this(), status = std::move(status)] {
      if (self->over) return;
      self->call = nullptr;
      if (self->refusal) return self->Failed(*self->refusal);
      if (!status) return self->Failed({Code::kUnavailable, status.error().detail});
      if (self->body.size() != self->Size()) {
        return self->Failed(
            {Code::kUnavailable, StrCat(self->origin.url, self->file.path, " ended after ",
                                        self->body.size(), " of ", self->Size(), " bytes")});
      }
      self->Keep();
    });
  }

  void Failed(const Error& error) {
    Count(-static_cast<int64_t>(body.size()), 0);
    if (error.code != Code::kUnavailable || ++attempts == kAttemptsMax) {
      return Finish(std::unexpected(error));
    }
    retry.After(kRetry * (1 << (attempts - 1)), [self = shared_from_this()] { self->Fetch(); });
  }

  void Keep() {
    Do(
        [this]() -> Result<bool> {
          if (!IsChunk(next, body)) return false;
          RETURN_IF_ERROR(partial->Write(From(), body));
          whole.Update(body);
          return true;
        },
        [this](Result<bool> kept) {
          if (!kept) return Finish(std::unexpected(kept.error()));
          if (*kept) {
            ++next;
            return Next();
          }
          Count(-static_cast<int64_t>(body.size()), 0);
          if (++wrong < kWrongMax) return Fetch();
          Finish(Fail(Code::kDataLoss,
                      StrCat("bytes [", From(), ", ", From() + Size(), ") of ", origin.url,
                             file.path, " do not have the SHA-256 that was promised")));
        });
  }

  void Close() {
    Do(
        [this]() -> Status {
          if (store::Hex(whole.Finish()) != file.location) {
            partial->Discard();
            return Fail(Code::kDataLoss, StrCat(origin.url, file.path,
                                                " does not have the SHA-256 that it is named by"));
          }
          return partial->Commit(cache.PathOf(file.location));
        },
        [this](Status status) { Finish(std::move(status)); });
  }
};

Download::Download(net::EventLoop& loop, WorkThread& work, const BlobCache& cache,
                   FileOrigin origin, wire::StageFile file, DownloadCallbacks callbacks)
    : state_(std::make_shared<State>(loop, work, cache, std::move(origin), std::move(file),
                                     std::move(callbacks))) {
  state_->Begin();
}

Download::~Download() {
  state_->over = true;
  state_->call = nullptr;
  state_->retry.Cancel();
}

}  // namespace shoal::volunteer
