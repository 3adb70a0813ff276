// JSON from text and to text: the daemon's requests and answers, its files, what its helpers say.
// Apart, because these two are most of what the library of JSON costs each file that is compiled.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace flexai::operate {

/// What somebody wrote; a discarded value if it is not JSON. Copying and printing recurse, so what
/// lies deeper than anything of ours is left out.
nlohmann::json ParseJson(std::string_view text);

/// On one line, or over several with `indent` spaces for each level. Bytes that are not UTF-8 are
/// replaced.
std::string JsonText(const nlohmann::json& value, int indent = -1);

}  // namespace flexai::operate
