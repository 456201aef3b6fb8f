"""Fixtures of the system tests. They talk to real daemons over real sockets; MERPATI_ROOT names the install tree."""
import os, pathlib, sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent / "lib"))
from instance import Instance, ROOT  # noqa: E402


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: left out of the sanitized run")
    if not (ROOT / "sbin" / "merpati").exists():
        raise pytest.UsageError(f"no install tree at {ROOT}: run ./check, or set MERPATI_ROOT")


@pytest.fixture
def instance(tmp_path_factory):
    """A factory of private instances; all are stopped at the end, and their logs shown if the test failed."""
    made = []

    def make(name="mail", **settings):
        i = Instance(tmp_path_factory.mktemp(name), **settings)
        made.append(i)
        i.start()
        return i

    yield make
    for i in made:
        i.stop()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.when == "call" and report.failed:
        for value in list(getattr(item, "funcargs", {}).values()):
            for i in getattr(value, "__closure__", None) or ():
                for one in i.cell_contents if isinstance(i.cell_contents, list) else ():
                    if isinstance(one, Instance):
                        report.sections.append((f"log of {one.dir}", one.log_tail(60)))
