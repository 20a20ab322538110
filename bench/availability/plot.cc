#include "plot.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/str_cat.h"

namespace shoal::availability {

namespace {

constexpr double kWidth = 720, kHeight = 420, kLeft = 90, kRight = 210, kTop = 46, kBottom = 56;
constexpr int kDecades = 5;
constexpr std::array kColours = {"#1b6ca8", "#c8553d", "#3a7d44", "#7b4b94", "#b8860b", "#444444"};

std::string Text(double x, double y, const char* anchor, const std::string& text) {
  return StrCat("<text x=\"", x, "\" y=\"", y, "\" text-anchor=\"", anchor, "\">", text,
                "</text>\n");
}

double YOf(double value) {
  const double decades = std::clamp(-std::log10(std::max(value, 1e-9)), 0.0, double{kDecades});
  return kTop + decades / kDecades * (kHeight - kTop - kBottom);
}

}  // namespace

std::string Plot(const std::string& title, const std::vector<uint32_t>& x,
                 const std::vector<Line>& lines) {
  const auto x_of = [&](size_t i) {
    const double steps = static_cast<double>(std::max<size_t>(x.size() - 1, 1));
    return kLeft + static_cast<double>(i) / steps * (kWidth - kLeft - kRight);
  };
  std::string svg =
      StrCat("<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 ", kWidth, " ", kHeight,
             "\" font-family=\"sans-serif\" font-size=\"13\">\n<rect width=\"100%\" "
             "height=\"100%\" fill=\"white\"/>\n",
             Text(kLeft, 24, "start", title));
  for (int decade = 0; decade <= kDecades; ++decade) {
    const double y = YOf(std::pow(10, -decade));
    svg += StrCat("<line x1=\"", kLeft, "\" x2=\"", kWidth - kRight, "\" y1=\"", y, "\" y2=\"", y,
                  "\" stroke=\"#ddd\"/>\n");
    const std::string label = decade == 0   ? "100 %"
                              : decade == 1 ? "10 %"
                              : decade == 2 ? "1 %"
                                            : StrCat("0.", std::string(decade - 3, '0'), "1 %");
    svg += Text(kLeft - 8, y + 4, "end", decade == kDecades ? StrCat("&lt;= ", label) : label);
  }
  for (size_t i = 0; i < x.size(); ++i) {
    svg += Text(x_of(i), kHeight - kBottom + 20, "middle", std::to_string(x[i]));
  }
  svg += Text((kLeft + kWidth - kRight) / 2, kHeight - 14, "middle", "replicas of every block");
  svg += StrCat("<text transform=\"translate(18 ", kHeight / 2,
                ") rotate(-90)\" text-anchor=\"middle\">time without a whole model</text>\n");
  for (size_t l = 0; l < lines.size(); ++l) {
    const char* const colour = kColours[l % kColours.size()];
    std::string points;
    for (size_t i = 0; i < lines[l].y.size(); ++i) {
      points += StrCat(x_of(i), ",", YOf(lines[l].y[i]), " ");
    }
    svg += StrCat("<polyline fill=\"none\" stroke-width=\"2\" stroke=\"", colour, "\" points=\"",
                  points, "\"/>\n");
    const double y = kTop + 8 + 20 * static_cast<double>(l);
    svg += StrCat("<rect x=\"", kWidth - kRight + 16, "\" y=\"", y - 9,
                  "\" width=\"12\" height=\"12\" fill=\"", colour, "\"/>\n",
                  Text(kWidth - kRight + 34, y + 2, "start", lines[l].name));
  }
  return svg + "</svg>\n";
}

}  // namespace shoal::availability
