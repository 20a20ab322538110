// Unsigned integers of up to 1,408 bits: enough for the exact decimal value of every double.
#pragma once

#include <array>
#include <bit>
#include <cstdint>

#include "base/check.h"

namespace shoal::wire {

class BigInteger {
 public:
  explicit BigInteger(uint64_t value) {
    words_[0] = static_cast<uint32_t>(value);
    words_[1] = static_cast<uint32_t>(value >> 32);
    used_ = words_[1] != 0 ? 2 : words_[0] != 0 ? 1 : 0;
  }

  int BitLength() const {
    return used_ == 0 ? 0 : 32 * (used_ - 1) + std::bit_width(words_[used_ - 1]);
  }
  bool IsZero() const { return used_ == 0; }

  void Multiply(uint32_t factor) {
    uint64_t carry = 0;
    for (int i = 0; i < used_; ++i) {
      carry += uint64_t{words_[i]} * factor;
      words_[i] = static_cast<uint32_t>(carry);
      carry >>= 32;
    }
    if (carry != 0) Push(static_cast<uint32_t>(carry));
  }

  void MultiplyPowerOf10(int exponent) {
    for (; exponent >= 9; exponent -= 9) Multiply(1'000'000'000);
    uint32_t factor = 1;
    for (; exponent > 0; --exponent) factor *= 10;
    Multiply(factor);
  }

  void ShiftLeft(int bits) {
    if (used_ == 0 || bits == 0) return;
    const int words = bits / 32;
    const int rest = bits % 32;
    CHECK(used_ + words + 1 <= kWords);
    for (int i = used_; i >= 0; --i) {
      const uint64_t high = i < used_ ? words_[i] : 0;
      const uint64_t low = i > 0 ? words_[i - 1] : 0;
      words_[i + words] = static_cast<uint32_t>((high << 32 | low) << rest >> 32);
    }
    for (int i = 0; i < words; ++i) words_[i] = 0;
    used_ += words + 1;
    Trim();
  }

  // *this -= other; other <= *this.
  void Subtract(const BigInteger& other) {
    int64_t borrow = 0;
    for (int i = 0; i < used_; ++i) {
      borrow += int64_t{words_[i]} - (i < other.used_ ? other.words_[i] : 0);
      words_[i] = static_cast<uint32_t>(borrow);
      borrow >>= 32;
    }
    CHECK(borrow == 0);
    Trim();
  }

  // Negative, zero or positive as a + b is less than, equal to or greater than c.
  static int CompareSum(const BigInteger& a, const BigInteger& b, const BigInteger& c) {
    BigInteger sum = a;
    uint64_t carry = 0;
    for (int i = 0; i < b.used_ || carry != 0; ++i) {
      if (i == sum.used_) sum.Push(0);
      carry += uint64_t{sum.words_[i]} + (i < b.used_ ? b.words_[i] : 0);
      sum.words_[i] = static_cast<uint32_t>(carry);
      carry >>= 32;
    }
    return Compare(sum, c);
  }

  static int Compare(const BigInteger& a, const BigInteger& b) {
    if (a.used_ != b.used_) return a.used_ < b.used_ ? -1 : 1;
    for (int i = a.used_ - 1; i >= 0; --i) {
      if (a.words_[i] != b.words_[i]) return a.words_[i] < b.words_[i] ? -1 : 1;
    }
    return 0;
  }

 private:
  static constexpr int kWords = 44;

  void Push(uint32_t word) {
    CHECK(used_ < kWords);
    words_[used_++] = word;
  }
  void Trim() {
    while (used_ > 0 && words_[used_ - 1] == 0) --used_;
  }

  std::array<uint32_t, kWords> words_{};  // Least significant first.
  int used_ = 0;                          // The highest used word is not zero.
};

}  // namespace shoal::wire
