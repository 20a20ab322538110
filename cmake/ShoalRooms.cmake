# How a room (a folder under src/) becomes a library, and its tests, fuzz targets and benches run.

set(CMAKE_CXX_STANDARD 23)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

option(SHOAL_WASM "Build the portable core for wasm32-wasi only" OFF)
option(SHOAL_SANITIZE "Address and undefined-behaviour sanitizers" OFF)
option(SHOAL_TSAN "Thread sanitizer" OFF)
option(SHOAL_FUZZ "libFuzzer targets (clang)" OFF)

add_library(shoal_options INTERFACE)
target_include_directories(shoal_options INTERFACE ${CMAKE_SOURCE_DIR}/src)
# -ffp-contract=off: sums have the same bits natively and in WebAssembly.
target_compile_options(shoal_options INTERFACE -Wall -Wextra -Wshadow -Werror -ffp-contract=off
                       -Wno-missing-field-initializers
                       # g++ 12 takes members of a Result that holds the other one for unset, and
                       # sees overlaps and overruns in its own std::string and std::vector; the
                       # assertions of googletest are an if with its else.
                       "$<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized;-Wno-restrict>"
                       "$<$<CXX_COMPILER_ID:GNU>:-Wno-array-bounds;-Wno-stringop-overflow>"
                       "$<$<CXX_COMPILER_ID:GNU>:-Wno-stringop-overread;-Wno-dangling-else>")
if(SHOAL_SANITIZE)
  target_compile_options(shoal_options INTERFACE -fsanitize=address,undefined
                         -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(shoal_options INTERFACE -fsanitize=address,undefined)
endif()
if(SHOAL_TSAN)
  target_compile_options(shoal_options INTERFACE -fsanitize=thread)
  target_link_options(shoal_options INTERFACE -fsanitize=thread)
endif()
if(SHOAL_FUZZ)
  target_compile_options(shoal_options INTERFACE -fsanitize=fuzzer-no-link)
endif()

# shoal_room(NAME [CORE] SOURCES ... DEPS ...): the library shoal_NAME. CORE rooms are portable: no
# exceptions, no RTTI, also built to WebAssembly. DEPS are rooms above this one or imported targets.
function(shoal_room name)
  cmake_parse_arguments(ARG "CORE" "" "SOURCES;DEPS" ${ARGN})
  add_library(shoal_${name} STATIC ${ARG_SOURCES})
  target_link_libraries(shoal_${name} PUBLIC shoal_options)
  foreach(dep ${ARG_DEPS})
    if(TARGET shoal_${dep})
      target_link_libraries(shoal_${name} PUBLIC shoal_${dep})
    else()
      target_link_libraries(shoal_${name} PUBLIC ${dep})
    endif()
  endforeach()
  if(ARG_CORE)
    target_compile_options(shoal_${name} PRIVATE -fno-exceptions -fno-rtti)
  endif()
endfunction()

# Seconds that a program of tests may take; sanitizers take ten times as long.
set(SHOAL_TEST_TIMEOUT 600)
if(SHOAL_SANITIZE OR SHOAL_TSAN)
  set(SHOAL_TEST_TIMEOUT 2400)
endif()

# shoal_test(ROOM [LABELS unit] SOURCES ... DEPS ...): the GoogleTest binary ROOM_test.
function(shoal_test name)
  if(SHOAL_WASM OR NOT BUILD_TESTING)
    return()
  endif()
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS;LABELS" ${ARGN})
  if(NOT ARG_LABELS)
    set(ARG_LABELS unit)
  endif()
  add_executable(${name}_test ${ARG_SOURCES})
  foreach(dep ${name} ${ARG_DEPS})
    if(TARGET shoal_${dep})
      target_link_libraries(${name}_test PRIVATE shoal_${dep})
    elseif(NOT dep STREQUAL name)
      target_link_libraries(${name}_test PRIVATE ${dep})
    endif()
  endforeach()
  target_link_libraries(${name}_test PRIVATE shoal_options GTest::gtest GTest::gmock
                        GTest::gtest_main)
  # Half the time to compile; what is tested is optimised all the same.
  target_compile_options(${name}_test PRIVATE $<$<CONFIG:Release>:-O0>)
  target_compile_definitions(${name}_test PRIVATE
                             SHOAL_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
  add_test(NAME ${name} COMMAND ${name}_test)
  set_tests_properties(${name} PROPERTIES LABELS "${ARG_LABELS}"
                                       TIMEOUT ${SHOAL_TEST_TIMEOUT})
endfunction()

# shoal_fuzz(NAME SOURCES ... DEPS ... [SEEDS ...]): a libFuzzer target with -DSHOAL_FUZZ=ON. Its
# seed corpus is tests/fuzz/NAME/, if there is one, and the folders of SEEDS, from the repository's
# root; the test replays it and then fuzzes for SHOAL_FUZZ_SECONDS.
set(SHOAL_FUZZ_SECONDS 10 CACHE STRING "How long each fuzz target runs as a test")
function(shoal_fuzz name)
  if(NOT SHOAL_FUZZ)
    return()
  endif()
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS;SEEDS" ${ARGN})
  add_executable(${name}_fuzz ${ARG_SOURCES})
  foreach(dep ${ARG_DEPS})
    target_link_libraries(${name}_fuzz PRIVATE shoal_${dep})
  endforeach()
  target_link_libraries(${name}_fuzz PRIVATE shoal_options)
  target_link_options(${name}_fuzz PRIVATE -fsanitize=fuzzer)
  set(corpus "")
  foreach(folder tests/fuzz/${name} ${ARG_SEEDS})
    if(EXISTS ${CMAKE_SOURCE_DIR}/${folder})
      list(APPEND corpus ${CMAKE_SOURCE_DIR}/${folder})
    endif()
  endforeach()
  file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/fuzz/${name})
  add_test(NAME fuzz_${name}
           COMMAND ${name}_fuzz -max_total_time=${SHOAL_FUZZ_SECONDS} -rss_limit_mb=2048 -timeout=10
                   ${CMAKE_BINARY_DIR}/fuzz/${name} ${corpus})
  set_tests_properties(fuzz_${name} PROPERTIES LABELS fuzz TIMEOUT 600)
endfunction()
