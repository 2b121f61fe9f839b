# Runs after a test program is linked: asks it for its test cases and writes a file for ctest that
# runs each in a process of its own. doctest's own script does this with CMake lists and so loses
# every name with a ";" or a single "[" in it: ctest then runs nothing under that name and is happy.
# In: program, name, label, timeout, file
execute_process(
  COMMAND ${program} --list-test-cases --no-version
  OUTPUT_VARIABLE rest COMMAND_ERROR_IS_FATAL ANY)

set(script "")
while(NOT rest STREQUAL "")
  string(FIND "${rest}" "\n" end)
  string(SUBSTRING "${rest}" 0 ${end} test)
  math(EXPR end "${end} + 1")
  string(SUBSTRING "${rest}" ${end} -1 rest)
  if(test MATCHES "^(=+$|\\[doctest\\] )")
    continue()
  endif()
  # A comma separates filters unless it is escaped.
  string(REPLACE "," "\\," filter "${test}")
  string(APPEND script
    "add_test([==[${name}: ${test}]==] [==[${program}]==] [==[--test-case=${filter}]==])\n"
    "set_tests_properties([==[${name}: ${test}]==] PROPERTIES LABELS ${label} TIMEOUT ${timeout}"
    " FAIL_REGULAR_EXPRESSION \"test cases: *0\")\n")
endwhile()
file(WRITE ${file} "${script}")
