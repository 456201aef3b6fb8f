"""What the reference server did with mail for local users and virtual mailboxes, where the folder ../shared is there."""
import os, pathlib, re, shutil, sys, tempfile

import pytest

from instance import AS_ROOT, ROOT
from test_acceptance import ACCEPTANCE, run

pytestmark = pytest.mark.skipif(not ACCEPTANCE.exists(), reason="../shared/acceptance is not beside this clone: the recorded answers are kept there")
CASES = "^(alias|forward|mbox|md|virt)-"


@pytest.fixture
def homes():
    """Homes of the accounts that the cases make; not below pytest's own folder, which other users cannot enter."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="merpati-homes-"))
    os.chmod(folder, 0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def account_homes():
    """Accounts that are there already keep the homes that they have."""
    found = {}
    for line in open("/etc/passwd"):
        f = line.split(":")
        if f[0] in ("c_ann", "c_bob", "c_cat"):
            found[f[0]] = f[5]
    return found


@pytest.mark.slow
@pytest.mark.skipif(not AS_ROOT, reason="needs root: deliveries as several users")
def test_deliveries(homes):
    there = {str(pathlib.Path(h).parent) for h in account_homes().values()}
    assert len(there) <= 1, there
    base = pathlib.Path(there.pop()) if there else homes
    base.mkdir(mode=0o755, exist_ok=True)
    owner = ("--set", "mail_owner=merpati", "--set", "setgid_group=merpatidrop", "--set", f"daemon_directory={ROOT}/libexec/merpati")
    # Below the ports that connections get by themselves: an instance is started several times on it.
    port = 19000 + os.getpid() % 1000 * 5
    rc, out = run([sys.executable, ACCEPTANCE / "delivery" / "delivery_diff.py", "check", "--create-users", "--home-base", base, "--command-dir", ROOT / "sbin",
                   *owner, "--base-port", port, "--id", CASES])
    total = re.search(r"^(\d+) cases: (\d+) identical, 0 differ", out, re.M)
    assert rc == 0 and total and int(total[1]) >= 50, out[-6000:]
