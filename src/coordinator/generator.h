// What the API asks of the swarm: token ids in, token ids out. The hub implements it over
// volunteers; tests of the API implement it with a script.
//
// Single-threaded: every call and every callback happens on the coordinator's event loop.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <variant>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "swarm/events.h"
#include "wire/frames.h"

namespace shoal {

struct GenerationRequest {
  std::vector<int32_t> prompt;  // At least one token.
  // row and seed, choice, ... as the head gets them; history is filled by the hub.
  wire::Sampling sampling;
  swarm::AllowedTokens allowed;  // Unset: every token.
  uint32_t max_tokens = 0;       // At least 1; prompt + max_tokens fits the context.
  std::vector<int32_t> end_ids;  // The generation ends after any of these; empty: ignore EOS.
  std::string client;  // Who pays: an API key's name or an address. For fairness and logs.
};

enum class FinishReason : uint8_t {
  kStop,    // One of end_ids came; it is the last token reported.
  kLength,  // max_tokens were made.
};

// One token of the answer, in order, each exactly once.
struct GeneratedToken {
  int32_t token = 0;
  float logprob = 0;
  std::vector<wire::TokenProbability> top;
};
struct GenerationDone {
  FinishReason reason = FinishReason::kStop;
};
// Error: the generation failed; nothing follows.
using GenerationEvent = std::variant<GeneratedToken, GenerationDone, Error>;

class Generator {
 public:
  virtual ~Generator() = default;

  // Starts a generation. `on_event` is called later, never from within Start, until it has been
  // given a GenerationDone or an Error, or Cancel is called. kUnavailable when the swarm cannot
  // answer now (the detail says what is missing), kResourceExhausted when too many wait.
  virtual Result<SessionId> Start(GenerationRequest request,
                                  std::function<void(GenerationEvent)> on_event) = 0;

  // Ends a generation that nobody waits for any more; its on_event is not called again. Unknown
  // and finished ids are ignored.
  virtual void Cancel(SessionId session) = 0;

  // Whether Start would succeed now; otherwise kUnavailable with what is missing, in words.
  virtual Status Availability() const = 0;
};

}  // namespace shoal
