// What the browser may call: a C interface over the portable core. web/core wraps it in types.
//
// Arguments are little-endian bytes that the caller wrote into memory it got from shoal_alloc.
// Functions that can fail return 0 or a shoal::Code. Either way they leave bytes behind, at
// shoal_result_data() and for shoal_result_bytes(), until the next call: the result, or one UTF-8
// sentence that says what was wrong. Nothing throws; a broken invariant traps, and
// shoal_abort_message() then points at a zero-terminated sentence (the instance is unusable).
//
// The module imports nothing and runs on one thread. Call _initialize first, once.

#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "tensor/convert.h"
#include "wire/codec.h"
#include "wire/json.h"
#include "wire/sampling.h"

#define SHOAL_EXPORT(name) extern "C" __attribute__((export_name(#name)))

namespace shoal {
namespace {

// The state that a C interface needs between a call and the reading of its result.
struct LastCall {
  std::string text;  // JSON, or what was wrong.
  ByteVector bytes;  // A frame; used when `text` is empty.
  uint32_t payload_offset = 0;
  uint32_t payload_bytes = 0;
};
LastCall last_call;

uint32_t Failed(const Error& error) {
  last_call = {.text = error.detail.empty() ? "no detail" : error.detail, .bytes = {}};
  return static_cast<uint32_t>(error.code);
}

uint32_t Done(std::string text) {
  last_call = {.text = std::move(text), .bytes = {}};
  return 0;
}

// A frame's payload is its last field, so that it ends where the frame ends.
size_t PayloadBytes(const wire::Frame& frame) {
  return std::visit(
      [](const auto& body) -> size_t {
        if constexpr (requires { body.payload; }) return body.payload.size();
        return 0;
      },
      frame.body);
}

std::string_view Text(const char* data, uint32_t bytes) { return {data, bytes}; }

}  // namespace
}  // namespace shoal

using shoal::last_call;

// The version of the project; zero-terminated.
SHOAL_EXPORT(shoal_version) const char* ShoalVersion() { return SHOAL_VERSION; }

// 16-byte aligned memory, 0 when there is none left. To be given back with shoal_free.
SHOAL_EXPORT(shoal_alloc) void* ShoalAlloc(uint32_t bytes) {
  return std::malloc(bytes == 0 ? 1 : bytes);
}
SHOAL_EXPORT(shoal_free) void ShoalFree(void* memory) { std::free(memory); }

SHOAL_EXPORT(shoal_result_data) const void* ShoalResultData() {
  if (!last_call.text.empty()) return last_call.text.data();
  return last_call.bytes.data();
}
SHOAL_EXPORT(shoal_result_bytes) uint32_t ShoalResultBytes() {
  return static_cast<uint32_t>(last_call.text.empty() ? last_call.bytes.size()
                                                      : last_call.text.size());
}
// After shoal_decode: where in the frame that was given the payload lies.
SHOAL_EXPORT(shoal_payload_offset) uint32_t ShoalPayloadOffset() {
  return last_call.payload_offset;
}
SHOAL_EXPORT(shoal_payload_bytes) uint32_t ShoalPayloadBytes() { return last_call.payload_bytes; }

// JSON (wire/json.h, "payload_bytes" if the kind has a payload) and the payload -> the frame.
SHOAL_EXPORT(shoal_encode)
uint32_t ShoalEncode(const char* json, uint32_t json_bytes, const uint8_t* payload,
                     uint32_t payload_bytes) {
  const auto frame =
      shoal::wire::FromJson(shoal::Text(json, json_bytes), shoal::Bytes(payload, payload_bytes));
  if (!frame) return shoal::Failed(frame.error());
  last_call = {.text = {}, .bytes = shoal::wire::Encode(*frame)};
  return 0;
}

// A frame -> JSON with "payload_bytes", and the payload's place in the frame.
SHOAL_EXPORT(shoal_decode) uint32_t ShoalDecode(const uint8_t* data, uint32_t bytes) {
  const auto frame = shoal::wire::Decode(shoal::Bytes(data, bytes));
  if (!frame) return shoal::Failed(frame.error());
  shoal::Done(shoal::wire::ToJson(*frame, shoal::wire::PayloadForm::kBeside));
  last_call.payload_bytes = static_cast<uint32_t>(shoal::PayloadBytes(*frame));
  last_call.payload_offset = bytes - last_call.payload_bytes;
  return 0;
}

// The first 16 bytes of a frame and the whole frame's size -> {"kind","to","from","body_bytes"}.
SHOAL_EXPORT(shoal_header) uint32_t ShoalHeader(const uint8_t* data, uint32_t bytes) {
  const auto header = shoal::wire::DecodeHeader(shoal::Bytes(data, bytes));
  if (!header) return shoal::Failed(header.error());
  return shoal::Done(shoal::wire::ToJson(*header));
}

// Logits [vocab] after `position - 1` and a Sampling's JSON -> the JSON of a token frame's body
// (session "0", epoch 0) for `position`.
SHOAL_EXPORT(shoal_sample)
uint32_t ShoalSample(const float* logits, uint32_t vocab, const char* json, uint32_t json_bytes,
                     uint32_t position) {
  const auto sampling = shoal::wire::SamplingFromJson(shoal::Text(json, json_bytes));
  if (!sampling) return shoal::Failed(sampling.error());
  // Unsigned: the row before position 0 wraps, and comes back in SampleToken.
  const shoal::wire::Row row{.session = {}, .epoch = {}, .position = position - 1};
  const auto token =
      shoal::wire::SampleToken(std::span<const float>(logits, vocab), row, *sampling);
  if (!token) return shoal::Failed(token.error());
  return shoal::Done(shoal::wire::ToJson(*token));
}

// A Sampling's JSON -> how many of the largest logits are enough, 0 for all.
SHOAL_EXPORT(shoal_largest_needed)
uint32_t ShoalLargestNeeded(const char* json, uint32_t json_bytes) {
  const auto sampling = shoal::wire::SamplingFromJson(shoal::Text(json, json_bytes));
  if (!sampling) return shoal::Failed(sampling.error());
  return shoal::Done(std::to_string(shoal::wire::LargestNeeded(*sampling)));
}

SHOAL_EXPORT(shoal_f16_to_f32)
void ShoalF16ToF32(const uint16_t* source, float* target, uint32_t count) {
  for (uint32_t i = 0; i < count; ++i) target[i] = shoal::F16ToF32(source[i]);
}
SHOAL_EXPORT(shoal_f32_to_f16)
void ShoalF32ToF16(const float* source, uint16_t* target, uint32_t count) {
  for (uint32_t i = 0; i < count; ++i) target[i] = shoal::F32ToF16(source[i]);
}
// 1 when no value is infinite or NaN.
SHOAL_EXPORT(shoal_all_finite) uint32_t ShoalAllFinite(const float* values, uint32_t count) {
  return shoal::AllFinite(std::span<const float>(values, count)) ? 1 : 0;
}
