// flexai top: cards and slices, live. Keys: q s p arrows h.
#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>
#include <nlohmann/json.hpp>
#include <optional>

#include "apps/flexai/ask.h"
#include "apps/flexai/command.h"
#include "apps/flexai/output.h"
#include "apps/flexai/terminal.h"
#include "apps/flexai/top_view.h"
#include "flexai/base/clock.h"
#include "flexai/operate/client.h"

namespace flexai::cli {
namespace {

using nlohmann::json;

constexpr Nanos kRefresh = kSecond;

// Keeps one connection; opens another when a daemon went and a successor came.
class Source {
 public:
  Result<json> Ask(const json& request) {
    if (!client_) {
      Result<operate::Client> client = operate::Client::Connect(/*start_if_missing=*/false);
      if (!client.ok()) return client.status();
      client_.emplace(std::move(*client));
    }
    Result<json> reply = client_->Call(request);
    if (!reply.ok() && reply.status().code() == Code::kUnavailable) client_.reset();
    return reply;
  }

 private:
  std::optional<operate::Client> client_;
};

void PauseOrResume(Source* source, const json& status, TopState* state) {
  const json slices = SortedSlices(status, state->sort);
  if (state->selected >= slices.size()) return;
  const json& slice = slices[state->selected];
  const bool paused = TextField(slice, "state") == "paused";
  const std::string name = TextField(slice, "slice");
  const Result<json> reply = source->Ask({{"op", paused ? "resume" : "pause"}, {"slice", name}});
  state->message =
      reply.ok() ? name + (paused ? " resumed" : " paused") : reply.status().ToString();
}

// False when the person wants to leave.
bool OnKey(const Pressed& pressed, Source* source, const json& status, TopState* state) {
  const size_t count = ListField(status, "slices").size();
  state->message.clear();
  if (pressed.key == Key::kQuit) return false;
  if (pressed.key == Key::kUp && state->selected > 0) --state->selected;
  if (pressed.key == Key::kDown && state->selected + 1 < count) ++state->selected;
  if (pressed.key == Key::kOther) {
    if (pressed.letter == 's') state->sort = NextSort(state->sort);
    if (pressed.letter == 'h' || pressed.letter == '?') state->help = !state->help;
    if (pressed.letter == 'p') PauseOrResume(source, status, state);
  }
  return true;
}

void Measure(TopState* state) {
  winsize size{};
  const bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0;
  state->width = known && size.ws_col > 0 ? size.ws_col : 80;
  state->height = known && size.ws_row > 0 ? size.ws_row : 24;
}

int Live() {
  Source source;
  Result<json> status = source.Ask({{"op", "status"}});
  if (!status.ok()) return Complain(status.status(), ExitCode(status.status()));
  if (Status opened = LiveTerminal::Open(); !opened.ok()) return Complain(opened);
  TopState state;
  state.colour = UsesColour(STDOUT_FILENO);
  json shown = *status;
  Nanos asked = MonotonicNow();
  while (true) {
    Measure(&state);
    const size_t count = ListField(shown, "slices").size();
    if (count > 0 && state.selected >= count) state.selected = count - 1;
    LiveTerminal::Draw(TopScreen(shown, state));
    const Nanos left = asked + kRefresh - MonotonicNow();
    const Pressed pressed =
        LiveTerminal::Wait(static_cast<int>(std::max<Nanos>(left, 0) / kMillisecond) + 1);
    if (pressed.ended) break;
    bool ask = pressed.key == Key::kOther;
    if (pressed.key != Key::kNone && !OnKey(pressed, &source, shown, &state)) break;
    if (!ask && MonotonicNow() - asked < kRefresh) continue;
    asked = MonotonicNow();
    status = source.Ask({{"op", "status"}});
    if (status.ok()) {
      shown = *status;
    } else {
      state.message = "no answer: " + status.status().ToString();
    }
  }
  LiveTerminal::Close();
  return kDone;
}

int Act(const Arguments& arguments) {
  if (!arguments.Has("once")) return Live();
  const Result<json> status = Ask({{"op", "status"}});
  if (!status.ok()) return Complain(status.status(), ExitCode(status.status()));
  TopState state;
  state.width = TerminalWidth(STDOUT_FILENO, 80);
  return Print(TopScreen(*status, state)) ? kDone : kFailed;
}

}  // namespace

Command TopCommand() {
  return {
      .name = "top",
      .summary = "Watch cards and slices live",
      .details =
          "Keys: arrows choose a slice, p pauses or resumes it, s sorts, h helps, q leaves.\n"
          "In a card's bar, | is time received and . is time granted but not used.",
      .options = {{"once", nullptr, "print one screen and leave; needs no terminal"}},
      .positionals = {},
      .act = Act,
  };
}

}  // namespace flexai::cli
