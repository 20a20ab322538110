#include "net/self_signed.h"

#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <memory>
#include <system_error>

#include "base/check.h"
#include "base/str_cat.h"
#include "net/address.h"

namespace shoal::net {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kDay = 24 * 60 * 60;
constexpr int64_t kValidSeconds = 825 * kDay;
constexpr int64_t kRenewBeforeSeconds = 30 * kDay;
constexpr int64_t kBackdateSeconds = kDay;  // For clients whose clock is behind.
constexpr size_t kMaxNames = 64;

struct FreeOpenSsl {
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(BIO* bio) const { BIO_free_all(bio); }
  void operator()(GENERAL_NAMES* names) const { GENERAL_NAMES_free(names); }
  void operator()(GENERAL_NAME* name) const { GENERAL_NAME_free(name); }
  void operator()(ASN1_STRING* string) const { ASN1_STRING_free(string); }
};
template <typename T>
using Owned = std::unique_ptr<T, FreeOpenSsl>;

Error SystemError(const fs::path& path, std::string_view what) {
  const int error = errno;
  const Code code = error == EACCES || error == EPERM || error == EROFS ? Code::kPermissionDenied
                                                                        : Code::kUnavailable;
  return {code, StrCat("cannot ", what, " ", path.string(), ": ", std::strerror(error))};
}

// --- Making one ---------------------------------------------------------------------------------

// An IP address becomes its bytes, as certificates have them; anything else a DNS name.
Owned<GENERAL_NAME> AlternativeName(const std::string& name) {
  Owned<GENERAL_NAME> entry(GENERAL_NAME_new());
  CHECK(entry != nullptr);
  if (Owned<ASN1_OCTET_STRING> bytes(a2i_IPADDRESS(name.c_str())); bytes != nullptr) {
    GENERAL_NAME_set0_value(entry.get(), GEN_IPADD, bytes.release());
    return entry;
  }
  Owned<ASN1_IA5STRING> text(ASN1_IA5STRING_new());
  CHECK(text != nullptr);
  CHECK(ASN1_STRING_set(text.get(), name.data(), static_cast<int>(name.size())) == 1);
  GENERAL_NAME_set0_value(entry.get(), GEN_DNS, text.release());
  return entry;
}

void AddNames(X509* certificate, const std::vector<std::string>& names) {
  Owned<GENERAL_NAMES> list(GENERAL_NAMES_new());
  CHECK(list != nullptr);
  for (size_t at = 0; at < names.size() && at < kMaxNames; ++at) {
    CHECK(sk_GENERAL_NAME_push(list.get(), AlternativeName(names[at]).release()) > 0);
  }
  CHECK(X509_add1_ext_i2d(certificate, NID_subject_alt_name, list.get(), 0, 0) == 1);
}

void AddExtension(X509* certificate, int nid, const char* value) {
  X509_EXTENSION* const extension = X509V3_EXT_conf_nid(nullptr, nullptr, nid, value);
  CHECK(extension != nullptr);
  CHECK(X509_add_ext(certificate, extension, -1) == 1);
  X509_EXTENSION_free(extension);
}

Owned<X509> MakeCertificate(EVP_PKEY* key, const std::vector<std::string>& names,
                            int64_t now_unix_s) {
  Owned<X509> certificate(X509_new());
  CHECK(certificate != nullptr);
  CHECK(X509_set_version(certificate.get(), X509_VERSION_3) == 1);
  std::array<unsigned char, 16> serial;
  CHECK(RAND_bytes(serial.data(), serial.size()) == 1);
  serial[0] = (serial[0] & 0x7f) | 0x40;  // Positive, and of full length.
  BIGNUM* const number = BN_bin2bn(serial.data(), serial.size(), nullptr);
  CHECK(number != nullptr &&
        BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate.get())) != nullptr);
  BN_free(number);
  CHECK(ASN1_TIME_set(X509_getm_notBefore(certificate.get()), now_unix_s - kBackdateSeconds));
  CHECK(ASN1_TIME_set(X509_getm_notAfter(certificate.get()),
                      now_unix_s - kBackdateSeconds + kValidSeconds));
  X509_NAME* const subject = X509_get_subject_name(certificate.get());
  constexpr std::string_view kName = "Shoal coordinator";
  CHECK(X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8,
                                   reinterpret_cast<const unsigned char*>(kName.data()),
                                   static_cast<int>(kName.size()), -1, 0) == 1);
  CHECK(X509_set_issuer_name(certificate.get(), subject) == 1);
  CHECK(X509_set_pubkey(certificate.get(), key) == 1);
  AddExtension(certificate.get(), NID_basic_constraints, "critical,CA:FALSE");
  AddExtension(certificate.get(), NID_ext_key_usage, "serverAuth");
  AddNames(certificate.get(), names);
  CHECK(X509_sign(certificate.get(), key, EVP_sha256()) > 0);
  return certificate;
}

std::string BioText(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return {data, static_cast<size_t>(size)};
}

// Written beside and renamed, so that no half file is ever in its place.
Status WriteFile(const fs::path& path, const std::string& text, mode_t mode) {
  const std::string beside = path.string() + ".new";
  ::unlink(beside.c_str());
  const int file = ::open(beside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
  if (file < 0) return std::unexpected(SystemError(beside, "write"));
  const ssize_t written = ::write(file, text.data(), text.size());
  const bool is_synced = written == static_cast<ssize_t>(text.size()) && ::fsync(file) == 0;
  if (::close(file) != 0 || !is_synced) return std::unexpected(SystemError(beside, "write"));
  if (::rename(beside.c_str(), path.c_str()) != 0) {
    return std::unexpected(SystemError(path, "put a file in place as"));
  }
  return {};
}

Status Make(const fs::path& folder, const SelfSigned& files, const std::vector<std::string>& names,
            int64_t now_unix_s) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) {
    return Fail(Code::kPermissionDenied,
                StrCat("cannot make the folder ", folder.string(), ": ", error.message()));
  }
  const Owned<EVP_PKEY> key(EVP_EC_gen("P-256"));
  CHECK(key != nullptr);
  const Owned<X509> certificate = MakeCertificate(key.get(), names, now_unix_s);
  const Owned<BIO> key_pem(BIO_new(BIO_s_mem()));
  const Owned<BIO> certificate_pem(BIO_new(BIO_s_mem()));
  CHECK(PEM_write_bio_PrivateKey(key_pem.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr));
  CHECK(PEM_write_bio_X509(certificate_pem.get(), certificate.get()));
  // The certificate last: where there is one, its key is there too.
  fs::remove(files.certificate_file, error);
  RETURN_IF_ERROR(WriteFile(files.key_file, BioText(key_pem.get()), 0600));
  return WriteFile(files.certificate_file, BioText(certificate_pem.get()), 0644);
}

// --- Reading one --------------------------------------------------------------------------------

Result<Owned<X509>> ReadCertificate(const std::string& path) {
  const Owned<BIO> file(BIO_new_file(path.c_str(), "r"));
  if (file == nullptr) return std::unexpected(SystemError(path, "read"));
  Owned<X509> certificate(PEM_read_bio_X509(file.get(), nullptr, nullptr, nullptr));
  if (certificate == nullptr) {
    return Fail(Code::kDataLoss,
                StrCat(path, " is no certificate; remove it to have another made"));
  }
  return certificate;
}

Status CheckKey(X509* certificate, const std::string& path) {
  const Owned<BIO> file(BIO_new_file(path.c_str(), "r"));
  if (file == nullptr) return std::unexpected(SystemError(path, "read"));
  const Owned<EVP_PKEY> key(PEM_read_bio_PrivateKey(file.get(), nullptr, nullptr, nullptr));
  if (key == nullptr || X509_check_private_key(certificate, key.get()) != 1) {
    return Fail(Code::kDataLoss, StrCat(path, " is not the certificate's key; remove both files ",
                                        "to have another certificate made"));
  }
  return {};
}

std::string Fingerprint(X509* certificate) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
  unsigned int size = 0;
  CHECK(X509_digest(certificate, EVP_sha256(), digest.data(), &size) == 1);
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string out;
  for (unsigned int at = 0; at < size; ++at) {
    if (at > 0) out += ':';
    out += kDigits[digest[at] / 16];
    out += kDigits[digest[at] % 16];
  }
  return out;
}

int64_t UnixSeconds(const ASN1_TIME* time) {
  std::tm parts = {};
  CHECK(ASN1_TIME_to_tm(time, &parts) == 1);
  return static_cast<int64_t>(timegm(&parts));
}

bool Names(X509* certificate, const std::string& name) {
  return ParseAddress(name)
             ? X509_check_ip_asc(certificate, name.c_str(), 0) == 1
             : X509_check_host(certificate, name.data(), name.size(), 0, nullptr) == 1;
}

}  // namespace

Result<SelfSigned> KeepSelfSigned(const fs::path& folder, const std::vector<std::string>& names,
                                  int64_t now_unix_s) {
  SelfSigned out;
  out.certificate_file = (folder / "certificate.pem").string();
  out.key_file = (folder / "key.pem").string();
  std::error_code error;
  if (!fs::exists(out.certificate_file, error)) {
    RETURN_IF_ERROR(Make(folder, out, names, now_unix_s));
    out.is_new = true;
  }
  ASSIGN_OR_RETURN(Owned<X509> certificate, ReadCertificate(out.certificate_file));
  if (UnixSeconds(X509_get0_notAfter(certificate.get())) < now_unix_s + kRenewBeforeSeconds) {
    RETURN_IF_ERROR(Make(folder, out, names, now_unix_s));
    out.is_new = true;
    ASSIGN_OR_RETURN(certificate, ReadCertificate(out.certificate_file));
  }
  RETURN_IF_ERROR(CheckKey(certificate.get(), out.key_file));
  out.fingerprint = Fingerprint(certificate.get());
  out.expires_unix_s = UnixSeconds(X509_get0_notAfter(certificate.get()));
  for (const std::string& name : names) {
    if (!Names(certificate.get(), name)) out.missing_names.push_back(name);
  }
  return out;
}

}  // namespace shoal::net
