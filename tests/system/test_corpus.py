"""postconf on real main.cf and master.cf files prints what Postfix's own postconf prints. The files are other people's and lie beside this clone."""
import shutil, subprocess

import pytest

from instance import ROOT, SHARED
from peers import ENV, POSTFIX

CORPUS = SHARED / "corpus" / "postfix"
FOLDERS = sorted(d.name for d in CORPUS.iterdir() if (d / "main.cf").exists()) if CORPUS.exists() else []
OPTIONS = ["-n", "-M", "-P", "-F", "-n -f", "-M -f"]


def output(tool, folder, options, env=None):
    p = subprocess.run([str(tool), "-c", str(folder), *options.split()], capture_output=True, timeout=60, env=env)
    return p.returncode, p.stdout.decode("utf-8", "replace")


@pytest.mark.slow
@pytest.mark.skipif(not FOLDERS, reason="../shared/corpus is not beside this clone: real configurations are kept there")
@pytest.mark.parametrize("name", FOLDERS or ["none"])
def test_same_as_postconf(name, tmp_path):
    reference = POSTFIX / "usr/sbin/postconf"
    if not reference.exists():
        pytest.skip("Debian's postfix package is not unpacked below build/postfix (tools/packages check)")
    folder = tmp_path / "etc"
    shutil.copytree(CORPUS / name, folder)
    folder.chmod(0o755)
    compared = 0
    for options in OPTIONS:
        status, want = output(reference, folder, options, ENV)
        if status != 0:
            continue  # it ends where a host name is unknown here, or where a file is a template
        assert output(ROOT / "sbin/postconf", folder, options)[1] == want, options
        compared += 1
    if not compared:
        pytest.skip("Postfix's postconf does not read these files")
