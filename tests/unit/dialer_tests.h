/* dialer_tests.h - the groups of tests in unit_dialer
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EXEAT_TESTS_DIALER_TESTS_H
#define EXEAT_TESTS_DIALER_TESTS_H

int dialer_resolve_tests(void);
int dialer_limits_tests(void);
int dialer_dial_tests(void);
int dialer_proxy_tests(void);
int dialer_life_tests(void);
int dialer_change_tests(void);

#endif
