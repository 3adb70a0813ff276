# flexai_generate(NAME toy): makes C++ from api/<name>/<name>.toml while building, and the library flexai_api_<name>
# with its call structs. flexai_add_backend(x): that, plus the folder flexai/backend/<x>.
get_filename_component(FLEXAI_ROOT ${CMAKE_CURRENT_LIST_DIR}/../.. ABSOLUTE)
set(FLEXAI_GENERATOR ${FLEXAI_ROOT}/tools/gen/gen.py)
execute_process(COMMAND ${Python3_EXECUTABLE} ${FLEXAI_GENERATOR} --list
  OUTPUT_VARIABLE FLEXAI_GENERATED_NAMES OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND ${Python3_EXECUTABLE} ${FLEXAI_GENERATOR} --sources
  OUTPUT_VARIABLE FLEXAI_GENERATOR_SOURCES OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)

function(flexai_generate)
  cmake_parse_arguments(A "" "NAME" "" ${ARGN})
  set(table ${FLEXAI_ROOT}/api/${A_NAME}/${A_NAME}.toml)
  set(folder ${CMAKE_BINARY_DIR}/generated/${A_NAME})
  list(TRANSFORM FLEXAI_GENERATED_NAMES PREPEND ${folder}/ OUTPUT_VARIABLE outputs)
  # The stamp is what is compared by time: files whose text has not changed stay as they are.
  add_custom_command(OUTPUT ${folder}/stamp
    BYPRODUCTS ${outputs}
    COMMAND ${Python3_EXECUTABLE} ${FLEXAI_GENERATOR} --table ${table} --out ${CMAKE_BINARY_DIR}/generated
    COMMAND ${CMAKE_COMMAND} -E touch ${folder}/stamp
    DEPENDS ${table} ${FLEXAI_GENERATOR_SOURCES}
    COMMENT "Generating from api/${A_NAME}/${A_NAME}.toml")
  add_custom_target(flexai_generate_${A_NAME} DEPENDS ${folder}/stamp)
  flexai_library(NAME api_${A_NAME} FLOOR 4 SOURCES ${folder}/ops.cpp USES base intercept)
  add_dependencies(flexai_api_${A_NAME} flexai_generate_${A_NAME})
endfunction()

function(flexai_add_backend name)
  flexai_generate(NAME ${name})
  add_subdirectory(${name})
endfunction()

# flexai_in_process(TARGET t MAP file): what every library in a user's process is linked with.
function(flexai_in_process)
  cmake_parse_arguments(A "" "TARGET;MAP" "" ${ARGN})
  target_link_options(${A_TARGET} PRIVATE -static-libstdc++ -static-libgcc
    -Wl,--exclude-libs,ALL -Wl,-z,defs -Wl,-z,relro -Wl,-z,now -Wl,--version-script=${A_MAP})
  set_target_properties(${A_TARGET} PROPERTIES LINK_DEPENDS ${A_MAP})
  target_link_libraries(${A_TARGET} PRIVATE ${CMAKE_DL_LIBS} Threads::Threads)
endfunction()
