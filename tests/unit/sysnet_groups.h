/* sysnet_groups.h - the groups of tests; each returns its failures
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EXEAT_TESTS_SYSNET_GROUPS_H
#define EXEAT_TESTS_SYSNET_GROUPS_H

int sysnet_nflog_tests(void);
int sysnet_sets_tests(void);
int sysnet_route_tests(void);
int sysnet_gate_tests(void);
int sysnet_wall_tests(void);
int sysnet_modes_tests(void);
int sysnet_pins_tests(void);

#endif
