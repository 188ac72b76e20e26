/* dialer_main.c - the dialer against a world of its own
 * SPDX-License-Identifier: Apache-2.0
 */
#include "dialer_tests.h"
#include "dialer_world.h"

int main(void)
{
	int failed = 0;

	world_enter_namespace();
	failed += dialer_resolve_tests();
	failed += dialer_limits_tests();
	failed += dialer_dial_tests();
	failed += dialer_proxy_tests();
	failed += dialer_life_tests();
	failed += dialer_change_tests();
	return failed ? 1 : 0;
}
