#include "flexai/backend/opencl/fake_kernels.h"

#include <ctype.h>
#include <string.h>

namespace flexai::backend::opencl::fake_driver {
namespace {

// The source without comments and preprocessor lines.
std::string Stripped(const std::string& source) {
  std::string out;
  bool line_start = true;
  for (size_t i = 0; i < source.size(); ++i) {
    if (source.compare(i, 2, "//") == 0 || (line_start && source[i] == '#')) {
      while (i < source.size() && source[i] != '\n') i += source[i] == '\\' ? 2 : 1;
      out += '\n';
      line_start = true;
    } else if (source.compare(i, 2, "/*") == 0) {
      const size_t end = source.find("*/", i + 2);
      i = end == std::string::npos ? source.size() : end + 1;
      out += ' ';
    } else {
      out += source[i];
      if (source[i] == '\n') line_start = true;
      if (!isspace(static_cast<unsigned char>(source[i]))) line_start = false;
    }
  }
  return out;
}

bool IsWordPart(char c) { return isalnum(static_cast<unsigned char>(c)) || c == '_'; }

std::vector<std::string> WordsOf(const std::string& text) {
  std::vector<std::string> words;
  for (size_t i = 0; i < text.size();) {
    if (!IsWordPart(text[i])) {
      ++i;
      continue;
    }
    size_t end = i;
    while (end < text.size() && IsWordPart(text[end])) ++end;
    words.push_back(text.substr(i, end - i));
    i = end;
  }
  return words;
}

bool Has(const std::vector<std::string>& words, const char* plain) {
  for (const std::string& word : words) {
    if (word == plain || word == std::string("__") + plain) return true;
  }
  return false;
}

// Bytes of a number type such as uint4; 0 for one that is not known.
size_t SizeOfType(const std::string& type) {
  struct Known {
    const char* name;
    size_t size;
  };
  constexpr Known kKnown[] = {{"char", 1},  {"uchar", 1}, {"short", 2}, {"ushort", 2},
                              {"half", 2},  {"int", 4},   {"uint", 4},  {"unsigned", 4},
                              {"float", 4}, {"long", 8},  {"ulong", 8}, {"double", 8}};
  for (const Known& known : kKnown) {
    const size_t length = strlen(known.name);
    if (type.compare(0, length, known.name) != 0) continue;
    const std::string lanes = type.substr(length);
    if (lanes.empty()) return known.size;
    if (lanes == "3") return 4 * known.size;
    if (lanes == "2" || lanes == "4" || lanes == "8" || lanes == "16") {
      return known.size * static_cast<size_t>(atoi(lanes.c_str()));
    }
  }
  return 0;
}

ArgSource ArgOf(const std::string& text) {
  ArgSource arg;
  std::vector<std::string> words = WordsOf(text);
  if (words.empty()) return arg;
  arg.name = words.back();
  words.pop_back();
  const bool pointer = text.find('*') != std::string::npos;
  for (const std::string& word : words) {
    const bool image = word.compare(0, 5, "image") == 0 || word == "pipe";
    if (image) arg.kind = ArgSource::Kind::kMemory;
    if (word == "sampler_t") arg.kind = ArgSource::Kind::kSampler;
    if (const size_t size = SizeOfType(word); size != 0 || image || word == "sampler_t") {
      arg.type = word + (pointer ? "*" : "");
      arg.size = size;
    }
  }
  if (pointer) {
    const bool local = Has(words, "local");
    arg.kind = local ? ArgSource::Kind::kLocal : ArgSource::Kind::kMemory;
    arg.size = 0;
  }
  return arg;
}

bool Balanced(const std::string& text) {
  std::string open;
  for (const char c : text) {
    if (c == '(' || c == '{' || c == '[') open += c;
    const char wanted = c == ')' ? '(' : c == '}' ? '{' : c == ']' ? '[' : 0;
    if (!wanted) continue;
    if (open.empty() || open.back() != wanted) return false;
    open.pop_back();
  }
  return open.empty();
}

// Where the bracket at `open` closes.
size_t CloseOf(const std::string& text, size_t open) {
  int depth = 0;
  for (size_t i = open; i < text.size(); ++i) {
    if (text[i] == '(') ++depth;
    if (text[i] == ')' && --depth == 0) return i;
  }
  return text.size();
}

// The kernel whose declaration begins right behind the word `kernel` at `at`.
std::shared_ptr<KernelSource> KernelAt(const std::string& text, size_t at) {
  size_t open = text.find('(', at);
  while (open != std::string::npos) {
    const std::vector<std::string> words = WordsOf(text.substr(at, open - at));
    if (words.empty()) return nullptr;
    const size_t close = CloseOf(text, open);
    if (words.back() == "__attribute__" || words.back() == "attribute") {
      at = close + 1;
      open = text.find('(', at);
      continue;
    }
    auto kernel = std::make_shared<KernelSource>();
    kernel->name = words.back();
    int depth = 0;
    std::string piece;
    for (size_t i = open + 1; i <= close && i < text.size(); ++i) {
      const char c = text[i];
      if ((c == ',' && depth == 0) || i == close) {
        const std::vector<std::string> inside = WordsOf(piece);
        if (!inside.empty() && !(inside.size() == 1 && inside[0] == "void")) {
          kernel->args.push_back(ArgOf(piece));
        }
        piece.clear();
        continue;
      }
      depth += c == '(' ? 1 : c == ')' ? -1 : 0;
      piece += c;
    }
    return kernel;
  }
  return nullptr;
}

uint32_t* Words(const Launch& launch, size_t arg, size_t* count) {
  if (arg >= launch.args.size()) return nullptr;
  const Arg& given = launch.args[arg];
  if (given.svm) {
    *count = Card::Instance().arena().SizeOf(given.svm) / sizeof(uint32_t);
    return static_cast<uint32_t*>(given.svm);
  }
  if (!given.mem) return nullptr;
  *count = given.mem->size / sizeof(uint32_t);
  return reinterpret_cast<uint32_t*>(given.mem->data);
}

uint32_t Number(const Launch& launch, size_t arg) {
  uint32_t number = 0;
  if (arg < launch.args.size() && launch.args[arg].bytes.size() == sizeof number) {
    memcpy(&number, launch.args[arg].bytes.data(), sizeof number);
  }
  return number;
}

// Calls `body(i)` for each first global id that lies in all arrays.
template <class F>
void ForEach(const Launch& launch, size_t count, F body) {
  for (size_t i = launch.offset[0]; i < launch.offset[0] + launch.size[0] && i < count; ++i)
    body(i);
}

void FillKernel(const Launch& launch) {
  size_t count = 0;
  uint32_t* out = Words(launch, 0, &count);
  const uint32_t value = Number(launch, 1);
  if (out) ForEach(launch, count, [&](size_t i) { out[i] = value; });
}

void AddKernel(const Launch& launch) {
  size_t count[3] = {0, 0, 0};
  const uint32_t* a = Words(launch, 0, &count[0]);
  const uint32_t* b = Words(launch, 1, &count[1]);
  uint32_t* c = Words(launch, 2, &count[2]);
  const size_t least = std::min(std::min(count[0], count[1]), count[2]);
  if (a && b && c) ForEach(launch, least, [&](size_t i) { c[i] = a[i] + b[i]; });
}

void SpinKernel(const Launch& launch) {
  size_t count = 0;
  uint32_t* out = Words(launch, 0, &count);
  const uint32_t rounds = Number(launch, 1);
  if (!out) return;
  ForEach(launch, count, [&](size_t i) {
    uint32_t x = static_cast<uint32_t>(i);
    for (uint32_t round = 0; round < rounds; ++round) x = x * 1664525u + 1013904223u;
    out[i] = x;
  });
}

}  // namespace

bool KernelsOf(const std::string& source, std::vector<std::shared_ptr<const KernelSource>>* kernels,
               std::string* log) {
  const std::string text = Stripped(source);
  if (source.find("#error") != std::string::npos) {
    *log = "fake compiler: the source has an #error\n";
    return false;
  }
  if (!Balanced(text)) {
    *log = "fake compiler: a bracket is not closed\n";
    return false;
  }
  for (size_t at = text.find("kernel"); at != std::string::npos; at = text.find("kernel", at + 6)) {
    const bool underscores = at >= 2 && text.compare(at - 2, 2, "__") == 0;
    const size_t begin = underscores ? at - 2 : at;
    if ((begin > 0 && IsWordPart(text[begin - 1])) || IsWordPart(text[at + 6])) continue;
    if (auto kernel = KernelAt(text, at + 6)) kernels->push_back(std::move(kernel));
  }
  return true;
}

KernelBody BodyOf(const std::string& name) {
  if (name == "flexai_fill") return &FillKernel;
  if (name == "flexai_add") return &AddKernel;
  if (name == "flexai_spin") return &SpinKernel;
  return nullptr;
}

}  // namespace flexai::backend::opencl::fake_driver
