"""Random SMTP sessions, played to Debian's Postfix and to us with one configuration: the same replies, the same end, the same mail.

MERPATI_DIFFERENTIAL=N plays N sessions a configuration (30), MERPATI_DIFFERENTIAL_FIRST=S begins at seed S. tests/system/lib/duel_run.py shows
single sessions. What differs on purpose is in doc/differences.md, and told to the test in duel.py (defended)."""
import os

import pytest

from duel import Duel
from duel_configs import CONFIGS
from grammar import Grammar
from instance import AS_ROOT
from peers import POSTFIX

COUNT, FIRST = int(os.environ.get("MERPATI_DIFFERENTIAL", "30")), int(os.environ.get("MERPATI_DIFFERENTIAL_FIRST", "0"))
HELD = ["base", "relay", "restrict", "nodelay", "lists", "auth", "limits", "barelf", "maps", "canon", "catchall"]


@pytest.mark.slow
@pytest.mark.parametrize("name", HELD)
def test_same_as_postfix(name, tmp_path_factory):
    if not AS_ROOT:
        pytest.skip("needs root: Postfix's master runs as root only")
    if not (POSTFIX / "usr/lib/postfix/sbin/master").exists():
        pytest.skip("Debian's postfix package is not unpacked below build/postfix (tools/packages check)")
    sessions = [Grammar(seed, name).session() for seed in range(FIRST, FIRST + COUNT)]
    duel = Duel(tmp_path_factory.mktemp("duel") / name, CONFIGS[name])
    try:
        found = duel.play(sessions)
    finally:
        duel.stop()
    differ = [(f"{name}/{FIRST + n}", sessions[n]["source"], sessions[n]["steps"], f) for n, f in enumerate(found) if f]
    assert not differ, f"{len(differ)} of {COUNT} sessions differ; the first: {differ[0]}"
