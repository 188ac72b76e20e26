# compose.cmake - exeat.1: its prose, the command's own tables, the presets
#
# cmake -DTEMPLATE=IN -DOUTPUT=OUT -DEXEAT=PROGRAM -DPRESETS=FOLDER
#	-DVERSION=X -DLIBEXECDIR=DIR -P compose.cmake
cmake_minimum_required(VERSION 3.25)
file(READ ${TEMPLATE} page)

foreach(part synopsis commands)
	execute_process(COMMAND ${EXEAT} manual ${part} OUTPUT_VARIABLE text
		OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
	string(TOUPPER ${part} mark)
	string(REPLACE "@${mark}@" "${text}" page "${page}")
endforeach()

set(text "")
file(GLOB files ${PRESETS}/*.json)
foreach(file IN LISTS files)
	file(READ ${file} json)
	string(JSON name GET "${json}" name)
	string(JSON title GET "${json}" title)
	string(JSON deny_only ERROR_VARIABLE none GET "${json}" deny_only)
	if(deny_only STREQUAL "ON")
		string(APPEND title "; for deny rules only")
	endif()
	string(REPLACE "'" "\\(aq" title "${title}")
	string(REPLACE "-" "\\-" title "${title}")
	string(APPEND text ".TP\n.B @${name}\n${title}\n")
endforeach()
string(STRIP "${text}" text)
string(REPLACE "@PRESETS@" "${text}" page "${page}")

string(REPLACE "@VERSION@" "${VERSION}" page "${page}")
string(REPLACE "@LIBEXECDIR@" "${LIBEXECDIR}" page "${page}")
file(WRITE ${OUTPUT} "${page}")
