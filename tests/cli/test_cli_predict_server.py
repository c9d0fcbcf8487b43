"""`hzbench predict --json` of a server: its bias by hand, its schedule, and what is not known."""

SERVER = {
    "problem": {"name": "quadratic", "dimension": 1, "linear_terms": [[3.0], [0.0], [-3.0]]},
    "nodes": [{"count": 3}],
    "clock": {"name": "fixed", "seconds": [1.0, 2.0, 4.0]},
    "run": {"steps": 7, "replicas": 4},
}


def test_the_bias_is_told(shell):
    """A = 1, shares 4/7, 2/7, 1/7: |(4·3 − 1·3)/7|² for asynchronous SGD, 0 for a table."""
    found = shell("predict", shell.spec(**SERVER, method="asgd"), "--json").json["runs"][0]
    assert abs(found["bias"] - (9 / 7) ** 2) < 5e-3  # shares are counted over 1000 updates
    assert len(found["schedule"]) == 7
    table = shell("predict", shell.spec(**SERVER, method="ia2sgd"), "--json").json["runs"][0]
    assert table["bias"] == 0


def test_a_bias_that_is_not_known_is_null(shell):
    problem = {"name": "sine_square", "noise": 0.1}
    spec = shell.spec(**{**SERVER, "problem": problem, "method": "asgd"})
    assert shell("predict", spec, "--json").json["runs"][0]["bias"] is None
