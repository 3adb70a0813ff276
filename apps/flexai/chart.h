// Curves as a picture in SVG, for --plot.
#pragma once

#include <span>
#include <string>
#include <utility>
#include <vector>

namespace flexai::cli {

struct Curve {
  std::string name;
  std::vector<std::pair<double, double>> points;  // by rising first number
};

/// One field of the picture with its own axes.
struct Panel {
  std::string title;
  std::string across;  // what the axes count
  std::string up;
  std::vector<Curve> curves;
};

/// The panels side by side, with the names of the first one's curves below. The axes span what is
/// drawn, rounded outwards.
std::string DrawSvg(std::span<const Panel> panels);

}  // namespace flexai::cli
