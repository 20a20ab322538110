#include "partition/attention_formula.h"

#include <algorithm>
#include <cmath>

namespace shoal::partition {

namespace {

// past [batch, heads, past, size], then fresh [batch, sequence, heads, size], position by position.
std::vector<double> Append(const std::vector<double>& past, const std::vector<double>& fresh,
                           const Sample& sample, int64_t heads, int64_t size) {
  std::vector<double> present;
  for (int64_t b = 0; b < sample.batch; ++b) {
    for (int64_t h = 0; h < heads; ++h) {
      for (int64_t p = 0; p < sample.total(); ++p) {
        const bool is_past = p < sample.past;
        const int64_t row = is_past ? (b * heads + h) * sample.past + p
                                    : (b * sample.sequence + p - sample.past) * heads + h;
        const auto begin = (is_past ? past : fresh).begin() + row * size;
        present.insert(present.end(), begin, begin + size);
      }
    }
  }
  return present;
}

}  // namespace

std::vector<double> Formula::Turned(std::vector<double> values, const Sample& sample,
                                    int64_t heads) const {
  const auto rows = static_cast<int64_t>(values.size()) / size;
  for (int64_t row = 0; row < rows && rotary.pairs > 0; ++row) {
    const int64_t position = sample.past + row / heads % sample.sequence;
    double* const data = values.data() + row * size;
    for (size_t i = 0; i < rotary.pairs; ++i) {
      const size_t at = static_cast<size_t>(position) * rotary.pairs + i;
      const double first = data[rotary.First(i)];
      const double second = data[rotary.Second(i)];
      data[rotary.First(i)] = first * rotary.cos[at] - second * rotary.sin[at];
      data[rotary.Second(i)] = second * rotary.cos[at] + first * rotary.sin[at];
    }
  }
  return values;
}

AttentionOutputs Formula::Run(const AttentionInputs& in) const {
  const Sample& sample = in.sample;
  const std::vector<double> query = Turned(in.query, sample, in.heads);
  AttentionOutputs outputs;
  outputs.present_key =
      Append(in.past_key, Turned(in.key, sample, in.kv_heads), sample, in.kv_heads, size);
  outputs.present_value = Append(in.past_value, in.value, sample, in.kv_heads, size);
  outputs.out.assign(query.size(), 0);
  for (int64_t row = 0; row < sample.batch * sample.sequence; ++row) {
    const int64_t place = sample.past + row % sample.sequence;
    const int64_t begin = window > 0 ? std::max<int64_t>(0, place - window + 1) : 0;
    for (int64_t h = 0; h < in.heads; ++h) {
      const int64_t cache =
          (row / sample.sequence * in.kv_heads + h / (in.heads / in.kv_heads)) * sample.total();
      const double* const q = query.data() + (row * in.heads + h) * size;
      double* const out = outputs.out.data() + (row * in.heads + h) * size;
      std::vector<double> scores;
      for (int64_t p = begin; p <= place; ++p) {
        double sum = 0;
        for (int64_t i = 0; i < size; ++i)
          sum += q[i] * outputs.present_key[static_cast<size_t>((cache + p) * size + i)];
        scores.push_back(sum * scale);
      }
      const double most = *std::ranges::max_element(scores);
      double total = 0;
      for (double& score : scores) total += score = std::exp(score - most);
      for (int64_t p = begin; p <= place; ++p) {
        const double weight = scores[static_cast<size_t>(p - begin)] / total;
        for (int64_t i = 0; i < size; ++i) {
          out[i] += weight * outputs.present_value[static_cast<size_t>((cache + p) * size + i)];
        }
      }
    }
  }
  return outputs;
}

}  // namespace shoal::partition
