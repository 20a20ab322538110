#include "packer/onnx_source.h"

#include <boost/json.hpp>

#include "base/str_cat.h"
#include "model/json.h"
#include "onnx/check.h"
#include "onnx/read.h"
#include "partition/slim.h"

namespace shoal::packer {

namespace fs = std::filesystem;

namespace {

constexpr size_t kMaxDataFiles = 4096;

// A file in the folder or below: no way out of it.
bool IsInside(const fs::path& location) {
  if (location.empty() || location.is_absolute()) return false;
  for (const fs::path& part : location) {
    if (part == "..") return false;
  }
  return true;
}

// Maps what external initialisers name and checks that their ranges are there. Files may leave the
// length out: it is what the type and the dims ask for.
Status MapData(const fs::path& folder, OnnxSource& source) {
  for (onnx::Tensor& tensor : source.model.graph.initializers) {
    if (!tensor.external) continue;
    onnx::ExternalData& range = *tensor.external;
    const auto refuse = [&](std::string_view why) {
      return Fail(Code::kInvalidArgument, StrCat("initializer \"", tensor.name,
                                                 "\": its data in \"", range.location, "\" ", why));
    };
    if (!source.data->contains(range.location)) {
      if (!IsInside(range.location)) return refuse("is outside of the model's folder");
      if (source.data->size() >= kMaxDataFiles) return refuse("is one data file too many");
      ASSIGN_OR_RETURN(model::MappedFile file, model::MappedFile::Open(folder / range.location));
      source.data->emplace(range.location, std::move(file));
    }
    const uint64_t bytes = source.data->at(range.location).bytes().size();
    const auto count = static_cast<uint64_t>(tensor.ElementCount());
    if (range.length == 0) range.length = count * DTypeBytes(tensor.type);
    if (range.offset > bytes || range.length > bytes - range.offset) {
      return refuse("ends after the end of the file");
    }
  }
  return {};
}

// The number at `key`, of a configuration or of an object `inner` within it; 0 if it is not there.
uint64_t NumberAt(const boost::json::object& object, std::string_view key) {
  const boost::json::value* value = object.if_contains(key);
  if (value == nullptr || !value->is_int64() || value->as_int64() < 0) return 0;
  return static_cast<uint64_t>(value->as_int64());
}

const boost::json::object* ObjectAt(const boost::json::object& object, std::string_view key) {
  const boost::json::value* value = object.if_contains(key);
  return value != nullptr ? value->if_object() : nullptr;
}

void TakeContext(uint64_t positions, OnnxSource& source) {
  if (positions > 0 && positions <= model::kMaxPositions && source.positions == 0) {
    source.positions = static_cast<uint32_t>(positions);
  }
}

void TakeFamily(const boost::json::object& object, std::string_view key, OnnxSource& source) {
  const boost::json::value* value = object.if_contains(key);
  if (value == nullptr || !value->is_string() || value->as_string().size() > 64) return;
  source.family = std::string(value->as_string());
}

// transformers' config.json, also of a model whose text part is an object of its own.
void ReadConfig(const boost::json::object& config, OnnxSource& source) {
  const boost::json::object* text = ObjectAt(config, "text_config");
  for (const boost::json::object* object : {text, &config}) {
    if (object == nullptr) continue;
    for (const char* key : {"max_position_embeddings", "n_positions", "n_ctx", "max_seq_len"}) {
      TakeContext(NumberAt(*object, key), source);
    }
  }
  TakeFamily(config, "model_type", source);
  source.config_json = boost::json::serialize(config);
}

// onnxruntime-genai's configuration.
void ReadGenaiConfig(const boost::json::object& config, OnnxSource& source) {
  const boost::json::object* model = ObjectAt(config, "model");
  if (model == nullptr) return;
  TakeContext(NumberAt(*model, "context_length"), source);
  if (source.config_json != "{}") return;
  TakeFamily(*model, "type", source);
  boost::json::object ids;
  for (const char* key : {"bos_token_id", "eos_token_id"}) {
    if (const boost::json::value* value = model->if_contains(key)) ids[key] = *value;
  }
  source.config_json = boost::json::serialize(ids);
}

Status ReadConfigs(const fs::path& folder, OnnxSource& source) {
  for (const char* name : {"config.json", "genai_config.json"}) {
    for (const fs::path& place : {folder, folder / ".."}) {
      std::error_code ignored;
      if (!fs::exists(place / name, ignored)) continue;
      ASSIGN_OR_RETURN(const std::string text,
                       model::ReadFile(place / name, model::kMaxConfigBytes));
      ASSIGN_OR_RETURN(const boost::json::value value, model::ParseJson(text, name));
      if (!value.is_object()) return Fail(Code::kInvalidArgument, StrCat(name, ": no object"));
      if (std::string_view(name) == "config.json") {
        ReadConfig(value.as_object(), source);
      } else {
        ReadGenaiConfig(value.as_object(), source);
      }
      source.configs += text;
      break;
    }
  }
  return {};
}

}  // namespace

partition::TensorBytes OnnxSource::bytes() const {
  return [files = data](const onnx::Tensor& tensor) -> Result<Bytes> {
    const auto file = files->find(tensor.external->location);
    if (file == files->end()) {
      return Fail(Code::kInternal, StrCat("\"", tensor.name, "\" has no data"));
    }
    return file->second.bytes().subspan(tensor.external->offset, tensor.external->length);
  };
}

Result<OnnxSource> OpenOnnx(const fs::path& path) {
  OnnxSource source;
  source.data = std::make_shared<std::map<std::string, model::MappedFile>>();
  const std::string name = path.filename().string();
  ASSIGN_OR_RETURN(model::MappedFile file, model::MappedFile::Open(path));
  {
    ASSIGN_OR_RETURN(const ByteVector slim, partition::Slim(file.bytes(), name));
    auto parsed = onnx::Parse(slim);
    if (!parsed) return FailWithContext(std::move(parsed).error(), name);
    source.model = std::move(*parsed);
  }
  source.data->emplace(name, std::move(file));
  const fs::path folder = fs::absolute(path).parent_path();
  RETURN_IF_ERROR(MapData(folder, source));
  RETURN_IF_ERROR(ReadConfigs(folder, source));
  ASSIGN_OR_RETURN(source.files, FilesOfFolder(folder));
  if (!source.files.contains("tokenizer.json")) {
    ASSIGN_OR_RETURN(source.files, FilesOfFolder(folder / ".."));
  }
  return source;
}

Result<store::Sha256> Fingerprint(const OnnxSource& source,
                                  const std::function<bool(const Progress&)>& progress) {
  std::string list = store::Hex(store::HashBytes(AsBytes(source.configs)));
  for (const auto& [name, content] : source.files) {
    list += StrCat(store::Hex(store::HashBytes(AsBytes(content))), "  ", name, "\n");
  }
  uint64_t total = 0;
  for (const auto& [name, file] : *source.data) total += file.bytes().size();
  uint64_t done = 0;
  for (const auto& [name, file] : *source.data) {
    ASSIGN_OR_RETURN(const store::Sha256 sha, HashFile(file, total, done, progress));
    list += StrCat(store::Hex(sha), "  ", name, "\n");
  }
  return store::HashBytes(AsBytes(list));
}

}  // namespace shoal::packer
