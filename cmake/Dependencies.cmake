# Every native dependency, once, with its reason. Debian 12 packages; scripts/setup installs them.

find_package(Threads REQUIRED)
find_package(Boost 1.81 REQUIRED COMPONENTS json)  # Asio and Beast: sockets, HTTP, WebSocket; JSON
find_package(OpenSSL REQUIRED)                     # TLS and SHA-256
find_package(hwy REQUIRED)                         # vector code for the processor at hand
find_package(CLI11 REQUIRED)                       # command line
find_package(fmt REQUIRED)                         # formatting (libstdc++ 12 has no std::format)
find_package(spdlog REQUIRED)                      # structured logs
find_package(PkgConfig REQUIRED)
pkg_check_modules(ONIGURUMA REQUIRED IMPORTED_TARGET oniguruma)  # tokenizers' regular expressions
pkg_check_modules(UTF8PROC REQUIRED IMPORTED_TARGET libutf8proc) # Unicode normalisation
pkg_check_modules(LIBEDIT REQUIRED IMPORTED_TARGET libedit)      # lines that people type to shoal chat
if(BUILD_TESTING)
  find_package(GTest REQUIRED)  # tests
endif()
# Header only, no CMake package: protozero (the ONNX reader and writer), RapidCheck comes with a
# library of its own that a room's tests link by name.
