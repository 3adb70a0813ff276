#include "apps/flexai/chart.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

namespace flexai::cli {
namespace {

constexpr double kWidth = 480, kHeight = 340;  // of a panel
constexpr double kLeft = 70, kRight = 15, kTop = 40, kBottom = 50;
constexpr int kMostTicks = 6;
constexpr std::array<const char*, 7> kColours = {"#0b62a4", "#d1495b", "#3a7d44", "#b8860b",
                                                 "#7b4fa3", "#555555", "#12908e"};

std::string Number(double value) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.6g", value);
  return text;
}

std::string Escaped(const std::string& text) {
  std::string safe;
  for (const char c : text) {
    if (c == '&') {
      safe += "&amp;";
    } else if (c == '<') {
      safe += "&lt;";
    } else {
      safe += c;
    }
  }
  return safe;
}

struct Axis {
  double least = 0;
  double most = 1;
  double step = 1;
};

// Ticks at 1, 2 or 5 times a power of ten.
Axis AxisOver(double least, double most) {
  if (most <= least) most = least + 1;
  const double raw = (most - least) / kMostTicks;
  const double power = std::pow(10, std::floor(std::log10(raw)));
  double step = 10 * power;
  for (const double times : {5.0, 2.0, 1.0}) {
    if (times * power >= raw) step = times * power;
  }
  return {std::floor(least / step) * step, std::ceil(most / step) * step, step};
}

long Ticks(const Axis& axis) { return std::lround((axis.most - axis.least) / axis.step); }

class Field {
 public:
  Field(const Panel& panel, double at) : panel_(panel), at_(at) {
    bool any = false;
    double low[2] = {0, 0}, high[2] = {1, 1};
    for (const Curve& curve : panel.curves) {
      for (const auto& [x, y] : curve.points) {
        low[0] = any ? std::min(low[0], x) : x;
        high[0] = any ? std::max(high[0], x) : x;
        low[1] = any ? std::min(low[1], y) : y;
        high[1] = any ? std::max(high[1], y) : y;
        any = true;
      }
    }
    across_ = AxisOver(low[0], high[0]);
    up_ = AxisOver(low[1], high[1]);
  }

  std::string Draw() const {
    std::string svg = Text(at_ + kWidth / 2, 20, "middle", panel_.title);
    svg += Text(at_ + (kLeft + kWidth - kRight) / 2, kHeight - 10, "middle", panel_.across);
    svg += Text(at_ + 8, kTop - 12, "start", panel_.up);
    for (long tick = 0; tick <= Ticks(across_); ++tick) {
      const double x = across_.least + static_cast<double>(tick) * across_.step;
      svg += Line(X(x), kTop, X(x), kHeight - kBottom);
      svg += Text(X(x), kHeight - kBottom + 16, "middle", Number(x));
    }
    for (long tick = 0; tick <= Ticks(up_); ++tick) {
      const double y = up_.least + static_cast<double>(tick) * up_.step;
      svg += Line(X(across_.least), Y(y), X(across_.most), Y(y));
      svg += Text(at_ + kLeft - 6, Y(y) + 4, "end", Number(y));
    }
    for (size_t i = 0; i < panel_.curves.size(); ++i) {
      svg += "<polyline fill=\"none\" stroke-width=\"1.5\" stroke=\"";
      svg += std::string(kColours[i % kColours.size()]) + "\" points=\"";
      for (const auto& [x, y] : panel_.curves[i].points) {
        svg += Number(X(x)) + "," + Number(Y(y)) + " ";
      }
      svg += "\"/>\n";
    }
    return svg;
  }

  static std::string Text(double x, double y, const char* anchor, const std::string& text) {
    return "<text x=\"" + Number(x) + "\" y=\"" + Number(y) + "\" text-anchor=\"" + anchor + "\">" +
           Escaped(text) + "</text>\n";
  }

 private:
  double X(double x) const {
    return at_ + kLeft +
           (x - across_.least) / (across_.most - across_.least) * (kWidth - kLeft - kRight);
  }
  double Y(double y) const {
    return kHeight - kBottom -
           (y - up_.least) / (up_.most - up_.least) * (kHeight - kTop - kBottom);
  }
  static std::string Line(double x1, double y1, double x2, double y2) {
    return "<path stroke=\"#ddd\" d=\"M" + Number(x1) + " " + Number(y1) + "L" + Number(x2) + " " +
           Number(y2) + "\"/>\n";
  }

  const Panel& panel_;
  double at_;
  Axis across_, up_;
};

}  // namespace

std::string DrawSvg(std::span<const Panel> panels) {
  const double width = kWidth * static_cast<double>(panels.size());
  std::string svg = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 " + Number(width) +
                    " " + Number(kHeight + 30) +
                    "\" font-family=\"sans-serif\" font-size=\"12\">\n" +
                    "<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n";
  for (size_t i = 0; i < panels.size(); ++i) {
    svg += Field(panels[i], kWidth * static_cast<double>(i)).Draw();
  }
  double at = kLeft;
  for (size_t i = 0; !panels.empty() && i < panels[0].curves.size(); ++i) {
    const std::string& name = panels[0].curves[i].name;
    svg += "<rect x=\"" + Number(at) + "\" y=\"" + Number(kHeight + 8) +
           "\" width=\"14\" height=\"4\" fill=\"" + kColours[i % kColours.size()] + "\"/>\n";
    svg += Field::Text(at + 18, kHeight + 14, "start", name);
    at += 40 + 8 * static_cast<double>(name.size());
  }
  return svg + "</svg>\n";
}

}  // namespace flexai::cli
