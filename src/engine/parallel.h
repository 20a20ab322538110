// How a loop is spread over threads: handed in from outside, since the engine starts none.
#pragma once

#include <cstddef>

namespace shoal::engine {

// Natively a pool of threads, in a tab Workers on one shared memory. One loop at a time.
class Parallel {
 public:
  virtual ~Parallel() = default;
  // How many calls may run at once, at least 1.
  virtual size_t threads() const = 0;
  // Calls body(i) once for every i in [0, count), in any order and on any thread, and returns when
  // all are done. What the bodies write must not overlap, and no body may allocate memory.
  template <typename Body>
  void For(size_t count, const Body& body) {
    Run(count, [](const void* b, size_t i) { (*static_cast<const Body*>(b))(i); }, &body);
  }

 protected:
  using Call = void (*)(const void* body, size_t index);
  virtual void Run(size_t count, Call call, const void* body) = 0;
};

// One after the other, on the caller's thread.
class Serial : public Parallel {
 public:
  size_t threads() const override { return 1; }

 protected:
  void Run(size_t count, Call call, const void* body) override {
    for (size_t i = 0; i < count; ++i) call(body, i);
  }
};

}  // namespace shoal::engine
