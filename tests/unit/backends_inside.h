/* backends_inside.h - what a payload of the test tries
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EXEAT_TESTS_BACKENDS_INSIDE_H
#define EXEAT_TESTS_BACKENDS_INSIDE_H

/* The test program, started inside as "inside NAME [ARG]": 0 if everything
 * went as it must; else what did not is on stdout. */
int inside_main(int argc, char **argv);

#endif
