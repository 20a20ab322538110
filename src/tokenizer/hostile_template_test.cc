// Chat templates that would run for ever, nest without end or fill the memory: each ends within
// seconds (more with sanitizers) in an error, and gives back what it took.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <chrono>
#include <string>
#include <vector>

#include "tokenizer/chat_template.h"

namespace shoal::tokenizer {
namespace {

std::string Repeat(std::string_view text, int count) {
  std::string out;
  for (int i = 0; i < count; ++i) out += text;
  return out;
}

Result<std::string> Render(const std::string& text) {
  ASSIGN_OR_RETURN(const ChatTemplate chat_template, ChatTemplate::Load(text));
  const boost::json::array messages = {{{"role", "user"}, {"content", "Hi"}}};
  return chat_template.Render({.messages = messages, .variables = {}, .clock = nullptr});
}

double PeakMiB() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1024;
}

TEST(HostileTemplate, EndsWithAnError) {
  const std::string doubling = "{% set ns = namespace(x='ab') %}{% for i in range(99) %}";
  const std::vector<std::string> templates = {
      // Loops.
      "{% for a in range(99999) %}{% for b in range(99999) %}x{% endfor %}{% endfor %}",
      "{{ range(10 ** 9)|list }}",
      "{{ range(10 ** 30)|list }}",
      // Recursion.
      "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
      "{% macro f() %}{{ f() }}{{ f() }}{% endmacro %}{{ f() }}",
      "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}",
      "{% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}{{ a() }}{% endmacro %}{{ a() }}",
      "{% for x in [[1]] recursive %}{{ loop([x]) }}{% endfor %}",
      // Memory.
      "{{ 'a' * 10 ** 10 }}",
      "{{ [1] * 10 ** 10 }}",
      doubling + "{% set ns.x = ns.x ~ ns.x %}{% endfor %}{{ ns.x }}",
      doubling + "{% set ns.x = ns.x.replace('a', 'aaaa') %}{% endfor %}",
      doubling + "{% set ns.x = [ns.x, ns.x]|tojson %}{% endfor %}",
      doubling + "{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x }}",
      doubling + "{% set ns.x = {'k': ns.x, 'l': ns.x} %}{% endfor %}{{ ns.x|tojson(indent=99) }}",
      doubling + "{% set ns.x = ns.x.join([ns.x, ns.x, ns.x]) %}{% endfor %}",
      doubling + "{% set ns.x = '%s%s%s' % (ns.x, ns.x, ns.x) %}{% endfor %}",
      doubling + "{% set ns.x = ns.x|map('upper')|join(ns.x) %}{% endfor %}",
      // Time, of values that are there once.
      doubling + "{% set ns.x = [ns.x, ns.x] %}{% endfor %}{% set a = ns.x %}" +
          "{% set ns.x = [ns.x[0], ns.x[1]] %}" +
          "{% for i in range(99999) %}{% if a + [i] == ns.x + [0] %}{% endif %}{% endfor %}" +
          "{{ a }}",
      "{% set s = 'a' * 30000000 %}" + Repeat("{% for a in range(99999) %}", 2) +
          "{% if 'b' in s %}{% endif %}" + Repeat("{% endfor %}", 2),
      "{% set s = 'a' * 30000000 %}" + Repeat("{% for a in range(99999) %}", 2) +
          "{% if s is upper or s.count('b') or s|length == 1 %}{% endif %}" +
          Repeat("{% endfor %}", 2),
      "{{ '%1000000000d' % 1 }}",
      "{{ '{:1000000000}'.format(1) }}",
      "{{ 'x'.center(10 ** 10) }}",
      "{{ 'x'.zfill(10 ** 10) }}",
      "{{ 10 ** 10 ** 10 }}",
      // Values that hold themselves.
      "{% set xs = [] %}{% set _ = xs.append(xs) %}{{ xs|tojson }}",
      "{% set ns = namespace() %}{% set ns.me = ns %}{{ [ns]|tojson }}",
      // Nesting of the template itself.
      "{{ " + Repeat("(", 100'000) + "1" + Repeat(")", 100'000) + " }}",
      "{{ " + Repeat("[", 100'000) + Repeat("]", 100'000) + " }}",
      "{{ " + Repeat("not ", 100'000) + "1 }}",
      "{{ " + Repeat("-", 100'000) + "1 }}",
      "{{ 1" + Repeat(" if 1 else 1", 100'000) + " }}",
      "{{ 2" + Repeat(" ** 2", 100'000) + " }}",
      Repeat("{% if true %}", 100'000) + Repeat("{% endif %}", 100'000),
      Repeat("{% for x in [1] %}", 100'000) + Repeat("{% endfor %}", 100'000),
      "{{ 'x'" + Repeat("|upper", 5'000'000) + " ",
  };
  const double before = PeakMiB();
  for (const std::string& text : templates) {
    const auto begin = std::chrono::steady_clock::now();
    const auto rendered = Render(text);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    EXPECT_FALSE(rendered) << text.substr(0, 100) << "\ngave " << rendered->substr(0, 100);
    EXPECT_LT(took.count(), 100) << text.substr(0, 100);
  }
  // The limit on what a template makes is 512 MiB.
  EXPECT_LT(PeakMiB() - before, 1200);
}

// What is deep, long or odd, but not too much so, is run.
TEST(HostileTemplate, HonestOnesAreNotRefused) {
  const std::string deep = "{{ " + Repeat("(", 40) + "1" + Repeat(")", 40) + " }}";
  EXPECT_EQ(Render(deep).value_or("refused"), "1");
  const std::string chain = "{{ 'x'" + Repeat(" ~ 'x'", 300) + " }}";
  EXPECT_EQ(Render(chain).value_or("refused").size(), 301u);
  const std::string branches =
      "{% if false %}" + Repeat("{% elif false %}", 200) + "{% else %}y{% endif %}";
  EXPECT_EQ(Render(branches).value_or("refused"), "y");
  const std::string self = "{% set xs = [] %}{% set _ = xs.append(xs) %}{{ xs }}";
  EXPECT_EQ(Render(self).value_or("[[...]]"), "[[...]]");
}

}  // namespace
}  // namespace shoal::tokenizer
