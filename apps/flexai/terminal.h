// The terminal of a live view: raw keys, a second screen, and its old state again on every way out.
#pragma once

#include <string_view>

#include "flexai/base/status.h"

namespace flexai::cli {

enum class Key { kNone, kQuit, kUp, kDown, kLeft, kRight, kOther };

struct Pressed {
  Key key = Key::kNone;
  char letter = 0;     // of kOther
  bool ended = false;  // the terminal is gone or a signal asks us to end
};

/// One per process: signals must find it. While it lives, stdin gives single keys and stdout shows
/// the second screen. Destruction, a deadly signal and a stop (Ctrl-Z) all give the terminal back.
class LiveTerminal {
 public:
  /// Errors: kFailedPrecondition (stdin or stdout is no terminal).
  static Status Open();
  static void Close();

  /// Draws `screen` from the top, clearing what was there.
  static bool Draw(std::string_view screen);

  /// Waits for a key, a change of size or `milliseconds`.
  static Pressed Wait(int milliseconds);
};

}  // namespace flexai::cli
