"""Plays random sessions to Postfix and to us: duel_run.py CONFIG[,CONFIG...]|all FIRST COUNT [-v]. Prints where they differ."""
import difflib, pathlib, sys, tempfile

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from duel import Duel
from duel_configs import CONFIGS
from grammar import Grammar


def show(step):
    op, *args = step
    return f"{op}: " + "; ".join(repr(a)[:700] for a in args)


def main():
    names = list(CONFIGS) if sys.argv[1] == "all" else sys.argv[1].split(",")
    first, count = int(sys.argv[2]), int(sys.argv[3])
    for name in names:
        with tempfile.TemporaryDirectory(prefix="duel.") as folder:
            duel = Duel(folder, CONFIGS[name])
            try:
                sessions = [Grammar(s, name).session() for s in range(first, first + count)]
                differ = 0
                for n in range(0, count, 100):
                    for k, found in enumerate(duel.play(sessions[n:n + 100]), n):
                        if not found:
                            continue
                        differ += 1
                        print(f"\n######## {name}/{first + k} from {sessions[k]['source']}")
                        for s in sessions[k]["steps"]:
                            print("   ", show(s))
                        for what, a, b in found:
                            print(f"-- {what}")
                            for l in list(difflib.unified_diff(a.split("\n"), b.split("\n"), "postfix", "ours", n=2, lineterm=""))[3:]:
                                print("   ", l if len(l) < 300 else f"{l[:150]} ... {l[-100:]} ({len(l)})")
                print(f"\n{name}: {count} sessions, {differ} differ")
                sys.stderr.write(f"{name}: {count} sessions, {differ} differ\n")
            finally:
                duel.stop()


if __name__ == "__main__":
    main()
