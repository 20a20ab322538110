# Prints how large the module is and refuses one that outgrew its budget.
# 216 KiB for 212: the codec and JSON form of the frames for experts on other volunteers take 37 of
# them, the rest is everybody's.
set(limit 221184)
file(SIZE ${FILE} bytes)
math(EXPR kib "${bytes} / 1024")
if(bytes GREATER limit)
  message(FATAL_ERROR "${FILE}: ${bytes} bytes, the budget is ${limit}")
endif()
message(STATUS "${FILE}: ${kib} KiB")
