# Prints how large the module is and refuses one that outgrew its budget.
set(limit 221184)
file(SIZE ${FILE} bytes)
math(EXPR kib "${bytes} / 1024")
if(bytes GREATER limit)
  message(FATAL_ERROR "${FILE}: ${bytes} bytes, the budget is ${limit}")
endif()
message(STATUS "${FILE}: ${kib} KiB")
