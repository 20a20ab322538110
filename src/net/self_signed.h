// A certificate that the server makes for itself and keeps: encryption without a certificate
// authority. Browsers warn about it once; people compare its fingerprint.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/result.h"

namespace shoal::net {

struct SelfSigned {
  std::string certificate_file;  // PEM
  std::string key_file;          // PEM, readable by its owner only.
  // SHA-256 of the certificate as browsers show it: "AB:CD:..." in upper case.
  std::string fingerprint;
  int64_t expires_unix_s = 0;
  bool is_new = false;
  // Those asked for that it does not name: browsers warn about these for another reason as well.
  std::vector<std::string> missing_names;
};

// The certificate in `folder` (certificate.pem and key.pem), made there when there is none or when
// it ends within a month: ECDSA P-256, valid for 825 days (the longest that all browsers accept),
// for `names`, which are host names and IP addresses. It is kept, whatever `names` are, so that
// its fingerprint stays what people have compared.
//
// kDataLoss when what lies there is no certificate with its key; kPermissionDenied and other codes
// when the folder cannot be read or written.
Result<SelfSigned> KeepSelfSigned(const std::filesystem::path& folder,
                                  const std::vector<std::string>& names, int64_t now_unix_s);

}  // namespace shoal::net
