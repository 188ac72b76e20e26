# compose.cmake - a manual page: its prose, the command's own tables
#
# cmake -DTEMPLATE=IN -DOUTPUT=OUT -DEXEAT=PROGRAM -DPRESETS=FOLDER
#	-DVERSION=X -DDATE=Y-M-D -DLIBEXECDIR=DIR -P compose.cmake
#
# A line "@PART COMMAND@" becomes what `exeat manual PART COMMAND` prints,
# "@presets@" what the presets' files say of themselves.
cmake_minimum_required(VERSION 3.25)
file(READ ${TEMPLATE} page)

string(REPLACE "@VERSION@" "${VERSION}" page "${page}")
string(REPLACE "@DATE@" "${DATE}" page "${page}")
string(REPLACE "@LIBEXECDIR@" "${LIBEXECDIR}" page "${page}")

set(text "")
file(GLOB files ${PRESETS}/*.json)
foreach(file IN LISTS files)
	file(READ ${file} json)
	string(JSON name GET "${json}" name)
	string(JSON title GET "${json}" title)
	string(JSON deny_only ERROR_VARIABLE none GET "${json}" deny_only)
	if(deny_only STREQUAL "ON")
		string(APPEND title ";\nfor deny rules only")
	endif()
	string(REPLACE "'" "\\(aq" title "${title}")
	string(REPLACE "-" "\\-" title "${title}")
	string(APPEND text ".TP\n.B @${name}\n${title}\n")
endforeach()
string(STRIP "${text}" text)
string(REPLACE "@presets@" "${text}" page "${page}")

string(REGEX MATCHALL "\n@[a-z][a-z ]*@\n" marks "${page}")
foreach(mark IN LISTS marks)
	string(REGEX REPLACE "[@\n]" "" words "${mark}")
	string(REGEX MATCH "^([a-z]+) ?(.*)$" words "${words}")
	execute_process(COMMAND ${EXEAT} manual ${CMAKE_MATCH_1} ${CMAKE_MATCH_2}
		OUTPUT_VARIABLE text COMMAND_ERROR_IS_FATAL ANY)
	string(REPLACE "${mark}" "\n${text}" page "${page}")
endforeach()
file(WRITE ${OUTPUT} "${page}")
