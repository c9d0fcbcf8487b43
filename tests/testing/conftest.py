"""The packages of users are run by the tests, in processes of their own; much fails on purpose."""

collect_ignore = ["third_party", "user_package"]
