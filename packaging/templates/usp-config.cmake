# find_package(usp) gives the target usp::usp. Paths are relative: the tree may be moved.
if(TARGET usp::usp)
  return()
endif()
get_filename_component(usp_folder "${CMAKE_CURRENT_LIST_DIR}" REALPATH)
get_filename_component(usp_library "${usp_folder}/../../libusp.so.@ABI@" REALPATH)
get_filename_component(usp_include "${usp_folder}/@INCLUDE_FROM_CMAKE@" ABSOLUTE)
if(NOT EXISTS "${usp_library}" OR NOT EXISTS "${usp_include}/usp.h")
  set(usp_FOUND FALSE)
  set(usp_NOT_FOUND_MESSAGE "usp: ${usp_library} or ${usp_include}/usp.h is missing")
  return()
endif()
add_library(usp::usp SHARED IMPORTED)
set_target_properties(usp::usp PROPERTIES
  IMPORTED_LOCATION "${usp_library}"
  IMPORTED_SONAME "libusp.so.@ABI@"
  INTERFACE_INCLUDE_DIRECTORIES "${usp_include}")
unset(usp_folder)
unset(usp_library)
unset(usp_include)
