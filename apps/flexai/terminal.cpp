#include "apps/flexai/terminal.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <termios.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <string>

namespace flexai::cli {
namespace {

constexpr std::string_view kEnter = "\033[?1049h\033[?25l";  // second screen, no cursor
constexpr std::string_view kLeave = "\033[?25h\033[?1049l";  // and back
constexpr int kDeadly[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGABRT, SIGSEGV,
                           SIGBUS, SIGFPE,  SIGILL, SIGPIPE, SIGALRM};

termios g_before;                  // written before a handler is set, then only read
std::atomic<bool> g_open = false;  // handlers may run at any moment

// Only calls that are allowed in a signal handler.
void WriteAll(std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = write(STDOUT_FILENO, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;
    text.remove_prefix(static_cast<size_t>(written));
  }
}

void SetModes(const termios& modes) {
  while (tcsetattr(STDIN_FILENO, TCSADRAIN, &modes) != 0 && errno == EINTR) {
  }
}

void EnterRaw() {
  termios raw = g_before;
  raw.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);  // ISIG stays: Ctrl-C and Ctrl-Z work
  raw.c_cc[VMIN] = 0;
  raw.c_cc[VTIME] = 0;
  SetModes(raw);
  WriteAll(kEnter);
}

void GiveBack() {
  // No signal may come between: a second one would end us with the terminal half restored, and
  // SIGTTOU would stop us in the background.
  sigset_t all, before;
  sigfillset(&all);
  sigprocmask(SIG_BLOCK, &all, &before);
  if (g_open.exchange(false)) {
    WriteAll(kLeave);
    SetModes(g_before);
  }
  sigprocmask(SIG_SETMASK, &before, nullptr);
}

// Gives the terminal back, then ends as the signal would have without us.
void OnDeadly(int number) {
  const int kept = errno;
  GiveBack();
  signal(number, SIG_DFL);
  raise(number);
  errno = kept;
}

void OnStop(int) {
  const int kept = errno;
  GiveBack();
  raise(SIGSTOP);
  // Continued, perhaps in another terminal mode.
  tcgetattr(STDIN_FILENO, &g_before);
  g_open = true;
  EnterRaw();
  errno = kept;
}

void OnResize(int) {}  // only to interrupt the wait

void Handle(int number, void (*handler)(int)) {
  struct sigaction old;
  sigaction(number, nullptr, &old);
  if (old.sa_handler == SIG_IGN) return;  // whoever started us wants it ignored
  struct sigaction action {};
  action.sa_handler = handler;
  sigfillset(&action.sa_mask);
  sigaction(number, &action, nullptr);
}

// What was read and not yet taken: several keys may come at once.
std::string g_typed;

// Takes the first key from `g_typed`.
Pressed TakeKey() {
  Pressed pressed;
  const bool arrow =
      g_typed.size() >= 3 && g_typed[0] == '\033' && (g_typed[1] == '[' || g_typed[1] == 'O');
  const char letter = arrow ? g_typed[2] : g_typed[0];
  g_typed.erase(0, arrow ? 3 : 1);
  if (arrow) {
    constexpr Key kArrows[] = {Key::kUp, Key::kDown, Key::kRight, Key::kLeft};
    if (letter >= 'A' && letter <= 'D') pressed.key = kArrows[letter - 'A'];
  } else if (letter == 'q' || letter == 'Q') {
    pressed.key = Key::kQuit;
  } else {
    pressed.key = Key::kOther;
    pressed.letter = letter;
  }
  return pressed;
}

}  // namespace

Status LiveTerminal::Open() {
  if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO) || tcgetattr(STDIN_FILENO, &g_before) != 0) {
    return Status(Code::kFailedPrecondition, "flexai top needs a terminal",
                  "use flexai top --once for a file or a pipe");
  }
  g_open = true;
  static const bool registered = std::atexit(GiveBack) == 0;
  if (!registered) return Status(Code::kInternal, "atexit failed");
  for (const int number : kDeadly) Handle(number, OnDeadly);
  Handle(SIGTSTP, OnStop);
  struct sigaction resize {};
  resize.sa_handler = OnResize;
  sigaction(SIGWINCH, &resize, nullptr);
  EnterRaw();
  return Status();
}

void LiveTerminal::Close() { GiveBack(); }

bool LiveTerminal::Draw(std::string_view screen) {
  std::string all = "\033[H";
  for (size_t at = 0; at < screen.size();) {
    const size_t end = std::min(screen.find('\n', at), screen.size());
    all += screen.substr(at, end - at);
    all += "\033[K";
    if (end + 1 < screen.size()) all += "\r\n";
    at = end + 1;
  }
  WriteAll(all + "\033[J");
  return true;
}

Pressed LiveTerminal::Wait(int milliseconds) {
  if (!g_typed.empty()) return TakeKey();
  pollfd keys = {STDIN_FILENO, POLLIN, 0};
  if (poll(&keys, 1, milliseconds) <= 0) return Pressed();
  char bytes[64];
  const ssize_t count = read(STDIN_FILENO, bytes, sizeof(bytes));
  if (count <= 0) {
    Pressed pressed;
    pressed.ended = count == 0 || errno != EINTR;
    return pressed;
  }
  g_typed.assign(bytes, static_cast<size_t>(count));
  return TakeKey();
}

}  // namespace flexai::cli
