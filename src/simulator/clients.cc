#include "simulator/clients.h"

#include "simulator/toy_model.h"

namespace shoal::simulator {

namespace {
constexpr uint32_t kAttemptsMax = 60;
constexpr Micros kAskAgain = kSecond;

void AddTokens(Random& random, uint32_t count, std::vector<int32_t>& tokens) {
  for (uint32_t i = 0; i < count; ++i) {
    tokens.push_back(static_cast<int32_t>(random.Below(kVocab)));
  }
}
}  // namespace

void Clients::Start() {
  const Scenario& s = world_.scenario();
  Random& random = world_.random();
  AddTokens(random, s.shared_tokens.Count(random), shared_);
  waiting_ = s.requests;
  for (uint32_t i = 0; i < s.requests; ++i) {
    const Wish wish = MakeWish();
    const auto when = static_cast<Micros>(s.arrival_s.Draw(random) * kSecond);
    const SessionId session{next_session_++};
    world_.timeline().At(when, [this, session, wish] { Try(session, wish, 1); });
  }
}

void Clients::AskOneMore() {
  ++waiting_;
  Try(SessionId{next_session_++}, MakeWish(), 1);
}

Clients::Wish Clients::MakeWish() {
  const Scenario& s = world_.scenario();
  Random& random = world_.random();
  Wish wish;
  wish.client = static_cast<uint32_t>(random.Below(s.clients));
  if (random.NextDouble() < s.greedy_client) wish.client = 0;
  if (random.NextDouble() < s.shared_prompts) wish.prompt = shared_;
  AddTokens(random, s.prompt.Count(random), wish.prompt);
  wish.max_tokens = s.answer.Count(random);
  wish.cancels = random.NextDouble() < s.cancels;
  return wish;
}

void Clients::Try(SessionId session, const Wish& wish, uint32_t attempts) {
  if (!world_.Admits()) {
    if (attempts < kAttemptsMax) {
      world_.timeline().After(
          kAskAgain, [this, session, wish, attempts] { Try(session, wish, attempts + 1); });
    } else {
      ++refused_;
      --waiting_;
    }
    return;
  }
  --waiting_;
  world_.Ask(session, wish.client, wish.prompt, wish.max_tokens);
  if (!wish.cancels) return;
  const Micros when = static_cast<Micros>(world_.random().Below(5 * kSecond));
  world_.timeline().After(when, [this, session] { world_.Cancel(session); });
}

}  // namespace shoal::simulator
