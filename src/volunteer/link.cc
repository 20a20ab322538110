#include "volunteer/link.h"

#include <algorithm>
#include <utility>

#include "base/str_cat.h"

namespace shoal::volunteer {

Link::Link(net::EventLoop& loop, LinkOptions options, LinkCallbacks callbacks)
    : loop_(loop),
      options_(std::move(options)),
      callbacks_(std::move(callbacks)),
      timer_(loop),
      pause_(options_.pause_first) {
  timer_.After({}, [this] { Connect(); });
}

void Link::Send(std::shared_ptr<const ByteVector> message) {
  if (socket_) socket_->Send(std::move(message));
}

void Link::Drop(const std::string& reason, net::Duration pause) {
  pause_ = std::max(pause_, pause);
  Lose(reason);
}

void Link::Close(const std::string& reason) {
  closed_ = true;
  timer_.Cancel();
  if (socket_) socket_->Close(net::kCloseNormal, reason);
}

void Link::Connect() {
  auto socket = net::ConnectWebSocket(loop_, options_.url, {}, {}, options_.tls);
  if (!socket) return Lose(socket.error().detail);
  socket_ = *std::move(socket);
  socket_->Start({.on_open =
                      [this] {
                        if (closed_) return;
                        Listen();
                        callbacks_.on_open();
                      },
                  .on_message =
                      [this](std::shared_ptr<ByteVector> message) {
                        if (closed_) return;
                        Listen();
                        callbacks_.on_message(std::move(message));
                      },
                  .on_closed =
                      [this](uint16_t code, const std::string& reason) {
                        Lose(!reason.empty() ? reason
                                             : StrCat("the connection was closed (", code, ")"));
                      }});
  timer_.After(options_.connect, [this] { Lose("no answer from the coordinator"); });
}

void Link::Listen() {
  asked_ = false;
  timer_.After(options_.silence, [this] { OnSilence(); });
}

void Link::OnSilence() {
  if (asked_) return Lose("the coordinator fell silent");
  asked_ = true;
  timer_.After(options_.silence, [this] { OnSilence(); });
  callbacks_.on_silence();
}

void Link::Lose(const std::string& reason) {
  if (closed_) return;
  socket_ = nullptr;
  asked_ = false;
  // Half the pause is certain, half is chance: many volunteers must not come back as one.
  const std::chrono::duration<double, std::micro> pause = pause_;
  const double part = std::uniform_real_distribution(0.5, 1.0)(random_);
  const auto retry = std::chrono::duration_cast<net::Duration>(pause * part);
  pause_ = std::min(pause_ * 2, options_.pause_last);
  timer_.After(retry, [this] { Connect(); });
  callbacks_.on_lost(reason, retry);
}

}  // namespace shoal::volunteer
