# flexai_generate(NAME toy): makes C++ from api/<name>/<name>.toml while building, and the library flexai_api_<name>
# with its call structs. FOLDER names the folder under api/ where a vendor has several tables; TABLE_ONLY builds no library.
# flexai_add_backend(x [TABLE_ONLY]): that, plus the folder flexai/backend/<x>.
include(CheckLinkerFlag)
get_filename_component(FLEXAI_ROOT ${CMAKE_CURRENT_LIST_DIR}/../.. ABSOLUTE)
set(FLEXAI_GENERATOR ${FLEXAI_ROOT}/tools/gen/gen.py)
execute_process(COMMAND ${Python3_EXECUTABLE} ${FLEXAI_GENERATOR} --list
  OUTPUT_VARIABLE FLEXAI_GENERATED_NAMES OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND ${Python3_EXECUTABLE} ${FLEXAI_GENERATOR} --sources
  OUTPUT_VARIABLE FLEXAI_GENERATOR_SOURCES OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)

function(flexai_generate)
  cmake_parse_arguments(A "TABLE_ONLY" "NAME;FOLDER" "" ${ARGN})
  if(NOT A_FOLDER)
    set(A_FOLDER ${A_NAME})
  endif()
  if(TARGET flexai_generate_${A_NAME})
    return()
  endif()
  set(table ${FLEXAI_ROOT}/api/${A_FOLDER}/${A_NAME}.toml)
  set(folder ${CMAKE_BINARY_DIR}/generated/${A_NAME})
  list(TRANSFORM FLEXAI_GENERATED_NAMES PREPEND ${folder}/ OUTPUT_VARIABLE outputs)
  # The stamp is what is compared by time: files whose text has not changed stay as they are.
  add_custom_command(OUTPUT ${folder}/stamp
    BYPRODUCTS ${outputs}
    COMMAND ${Python3_EXECUTABLE} ${FLEXAI_GENERATOR} --table ${table} --out ${CMAKE_BINARY_DIR}/generated
    COMMAND ${CMAKE_COMMAND} -E touch ${folder}/stamp
    DEPENDS ${table} ${FLEXAI_GENERATOR_SOURCES}
    COMMENT "Generating from api/${A_FOLDER}/${A_NAME}.toml")
  add_custom_target(flexai_generate_${A_NAME} DEPENDS ${folder}/stamp)
  if(A_TABLE_ONLY)
    return()
  endif()
  flexai_library(NAME api_${A_NAME} FLOOR 4 SOURCES ${folder}/ops.cpp ${folder}/resolver.cpp
    USES base intercept)
  add_dependencies(flexai_api_${A_NAME} flexai_generate_${A_NAME})
endfunction()

# flexai_parity_test(NAME toy [INCLUDE dir]): our declarations against the vendor's headers; left out, with a word,
# where they are not installed.
function(flexai_parity_test)
  if(FLEXAI_IN_PROCESS_ONLY)
    return()
  endif()
  cmake_parse_arguments(A "" "NAME;HEADER;INCLUDE" "" ${ARGN})
  find_path(FLEXAI_HEADERS_${A_NAME} ${A_HEADER} HINTS ${A_INCLUDE})
  if(NOT FLEXAI_HEADERS_${A_NAME})
    message(STATUS "parity of api/${A_NAME} is not tested: ${A_HEADER} was not found")
    return()
  endif()
  flexai_test(NAME api_${A_NAME}_parity_test SOURCES ${CMAKE_BINARY_DIR}/generated/${A_NAME}/parity_test.cpp
    USES api_${A_NAME})
  target_include_directories(api_${A_NAME}_parity_test SYSTEM PRIVATE ${FLEXAI_HEADERS_${A_NAME}})
endfunction()

# flexai_exports(NAME x SONAME libX.so.1 SOURCES ... LINK ...): lib/<x>/<soname> with the vendor's symbols and versions.
function(flexai_exports)
  cmake_parse_arguments(A "" "NAME;SONAME" "SOURCES;LINK" ${ARGN})
  set(folder ${CMAKE_BINARY_DIR}/generated/${A_NAME})
  string(REGEX REPLACE "^lib(.*)\\.so\\.([0-9]+)$" "\\1;\\2" parts ${A_SONAME})
  list(GET parts 0 stem)
  list(GET parts 1 version)
  add_library(flexai_${A_NAME}_exports SHARED ${folder}/exports.cpp ${A_SOURCES})
  add_dependencies(flexai_${A_NAME}_exports flexai_generate_${A_NAME})
  set_target_properties(flexai_${A_NAME}_exports PROPERTIES OUTPUT_NAME ${stem} SOVERSION ${version}
    LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib/${A_NAME})
  target_link_libraries(flexai_${A_NAME}_exports PRIVATE ${A_LINK})
  flexai_in_process(TARGET flexai_${A_NAME}_exports MAP ${folder}/exports.map)
endfunction()

# flexai_versioned_parity_test(NAME x HEADER x.h VERSION 13.0): the same against one of several versions of a header, which
# tools/fetch_headers has put into build/headers/<version>.
function(flexai_versioned_parity_test)
  if(FLEXAI_IN_PROCESS_ONLY)
    return()
  endif()
  cmake_parse_arguments(A "" "NAME;HEADER;VERSION" "" ${ARGN})
  set(folder ${FLEXAI_ROOT}/build/headers/${A_VERSION})
  if(NOT EXISTS ${folder}/${A_HEADER})
    message(STATUS "parity of ${A_NAME} with ${A_VERSION} is not tested: run tools/fetch_headers for ${A_HEADER}")
    return()
  endif()
  set(test api_${A_NAME}_${A_VERSION}_parity_test)
  flexai_test(NAME ${test} SOURCES ${CMAKE_BINARY_DIR}/generated/${A_NAME}/parity_test.cpp USES intercept)
  add_dependencies(${test} flexai_generate_${A_NAME})
  string(REGEX REPLACE "^([0-9]+)\\.([0-9]+)$" "\\1;\\2" parts ${A_VERSION})
  list(GET parts 0 major)
  list(GET parts 1 minor)
  math(EXPR number "${major} * 1000 + ${minor} * 10")
  target_compile_definitions(${test} PRIVATE FLEXAI_HEADER_VERSION=${number})
  target_include_directories(${test} SYSTEM PRIVATE ${folder})
  target_compile_options(${test} PRIVATE -Wno-deprecated-declarations)
endfunction()

function(flexai_add_backend name)
  flexai_generate(NAME ${name} ${ARGN})
  add_subdirectory(${name})
endfunction()

# flexai_in_process(TARGET t MAP file): what every library in a user's process is linked with.
function(flexai_in_process)
  cmake_parse_arguments(A "" "TARGET;MAP" "" ${ARGN})
  # A second fence behind the version script; the cross linker of the portable presets does not know it.
  check_linker_flag(CXX -Wl,--exclude-libs,ALL FLEXAI_LINKER_EXCLUDES_LIBS)
  target_link_options(${A_TARGET} PRIVATE -static-libstdc++ -static-libgcc
    $<$<BOOL:${FLEXAI_LINKER_EXCLUDES_LIBS}>:-Wl,--exclude-libs,ALL>
    -Wl,-z,relro -Wl,-z,now -Wl,-z,nodelete -Wl,--version-script=${A_MAP})
  # A sanitizer's symbols come from the program; such a library only serves tests that link it.
  if(NOT "${CMAKE_CXX_FLAGS} ${CMAKE_CXX_FLAGS_DEBUG}" MATCHES "-fsanitize")
    target_link_options(${A_TARGET} PRIVATE -Wl,-z,defs)
  endif()
  set_target_properties(${A_TARGET} PROPERTIES LINK_DEPENDS ${A_MAP})
  target_link_libraries(${A_TARGET} PRIVATE ${CMAKE_DL_LIBS} Threads::Threads)
endfunction()
