"""The test internet: see README.md.

SPDX-License-Identifier: Apache-2.0
"""
