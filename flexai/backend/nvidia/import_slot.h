// Puts a function of ours between a loaded library and one that it imports: the word through which
// the library calls is found by the library's own tables of relocations and replaced. Other
// libraries, which may import the same function, are not touched.
#pragma once

namespace flexai::backend::nvidia {

/// Makes `library`, a handle of dlopen, call `ours` where it calls the imported function `name`;
/// what it called so far, or null if it imports nothing of that name (then nothing was changed).
/// Thread: one at a time, before the library's threads run.
void* ReplaceImport(void* library, const char* name, void* ours);

}  // namespace flexai::backend::nvidia
