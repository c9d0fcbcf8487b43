"""The user's package is run by the tests, in a process of its own; half of it fails on purpose."""

collect_ignore = ["user_package"]
