// GPT-2's way of writing arbitrary bytes as visible characters: printable Latin-1 bytes stand for
// themselves, the others for U+0100 and up ("Ġ" is the space). Vocabularies of byte-level BPE are
// written so.
#pragma once

#include <string>
#include <string_view>

namespace shoal::tokenizer {

// The characters, as UTF-8, that stand for `bytes`.
std::string BytesToCharacters(std::string_view bytes);

// Appends the bytes that `characters` stand for. False, and nothing appended, when one of them
// stands for no byte.
bool AppendCharactersAsBytes(std::string_view characters, std::string& bytes);

}  // namespace shoal::tokenizer
