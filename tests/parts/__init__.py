"""Real parts for the tests to stand on."""
