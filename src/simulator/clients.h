// Clients: they ask, wait, ask again when they are refused, and some change their minds.
#pragma once

#include "simulator/world.h"

namespace shoal::simulator {

class Clients {
 public:
  explicit Clients(World& world) : world_(world) {}

  void Start();
  // One more request, so that there is something to break.
  void AskOneMore();
  // Everybody has asked or given up.
  bool Done() const { return waiting_ == 0; }
  uint32_t refused() const { return refused_; }

 private:
  struct Wish {
    uint32_t client = 0;
    std::vector<int32_t> prompt;
    uint32_t max_tokens = 0;
    bool cancels = false;
  };
  Wish MakeWish();
  void Try(SessionId session, const Wish& wish, uint32_t attempts);

  World& world_;
  std::vector<int32_t> shared_;  // The system prompt.
  uint64_t next_session_ = 1;
  uint32_t waiting_ = 0;
  uint32_t refused_ = 0;
};

}  // namespace shoal::simulator
