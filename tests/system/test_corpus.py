"""Configurations of others (../shared/corpus): each is read whole, and check says what it thinks of it in lines, never by dying."""
import os, pathlib, re, shutil, subprocess

import pytest

from instance import LONG, ROOT, SHARED

CORPUS = SHARED / "corpus" / "postfix"
FOLDERS = sorted(p for p in CORPUS.iterdir() if p.is_dir()) if CORPUS.is_dir() else []
pytestmark = pytest.mark.skipif(not FOLDERS, reason=f"{CORPUS} is not there (a clone of the project has none)")


def run(command, *args):
    env = dict(os.environ, ASAN_OPTIONS="detect_leaks=0", LC_ALL="C")
    p = subprocess.run([str(ROOT / "sbin" / command), *map(str, args)], capture_output=True, env=env, timeout=LONG * 2)
    text = (p.stdout + p.stderr).decode("utf-8", "replace")
    assert 0 <= p.returncode < 128, (command, args, p.returncode, text[-2000:])
    assert not re.search(r"runtime error|AddressSanitizer|panic:", text), text[-3000:]
    return p, text


@pytest.fixture
def folder(request, tmp_path):
    """A copy, since check makes queue folders where the files say so; what a file places elsewhere is placed here."""
    for p in request.param.iterdir():
        if p.is_file():
            shutil.copy(p, tmp_path / p.name)
    main = tmp_path / "main.cf"
    if not main.exists():
        main.touch()
    with open(main, "a") as f:
        f.write(f"\nqueue_directory = {tmp_path}/queue\ndata_directory = {tmp_path}/data\nmaillog_file =\n")
    (tmp_path / "queue").mkdir()
    (tmp_path / "data").mkdir()
    return tmp_path


@pytest.mark.parametrize("folder", FOLDERS, indirect=True, ids=lambda p: p.name)
def test_configuration_is_read(folder):
    p, text = run("postconf", "-c", folder, "-n")
    assert p.returncode == 0, text
    assert f"queue_directory = {folder}/queue" in text
    # Each name that the file sets is listed, or told of as unused.
    names = {m[1] for l in (folder / "main.cf").read_text(errors="replace").splitlines() if (m := re.match(r"(\w+)\s*=", l))}
    for name in names:
        assert re.search(rf"\b{name}\b", text), name
    if (folder / "master.cf").exists():
        p, text = run("postconf", "-c", folder, "-M")
        assert p.returncode == 0 or "master.cf" in text, text
        assert text.strip()
    run("postconf", "-c", folder, "-x", "-n")
    p, text = run("merpati", "-c", folder, "check")
    assert p.returncode == 0 or text.strip(), "check fails without a word"
