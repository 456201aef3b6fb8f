"""Fibers in gdb: gdb -p PID -x tools/gdb_fibers.py, or with a core file. (See doc/internals/fibers.md.)

    fibers            every fiber: name, state, its function, and where it waits
    fibers NAME       the call chain of each fiber whose name begins so; "fibers ." of all

A parked fiber's registers lie on its stack as context_switch left them; from there the frame pointers lead up (everything is built with
-fno-omit-frame-pointer). Nothing is written to the process, so a core file does as well.
"""
import gdb

# Where context_switch keeps the frame pointer and the return address, from the saved stack pointer on.
LAYOUT = {"i386:x86-64": (48, 56), "aarch64": (80, 88)}
MOST_FRAMES = 60
OF_THE_RUNTIME = ("fiber_", "waitq_", "io_wait", "switch_to_", "thread_run", "stream_", "tls_", "ipc_await", "receive_", "ipc_recv", "ipc_next_type")


def word(address):
    return int.from_bytes(bytes(gdb.selected_inferior().read_memory(address, 8)), "little")


def function_at(pc):
    """(function, file:line)"""
    block = gdb.block_for_pc(pc)
    while block and not block.function:
        block = block.superblock
    line = gdb.find_pc_line(pc)
    where = f"{line.symtab.filename}:{line.line}" if line.symtab else "?"
    if block:
        return block.function.name, where
    text = gdb.execute(f"info symbol {pc:#x}", to_string=True)
    return text.split()[0] if " in section " in text else f"{pc:#x}", where


def chain(sp, arch):
    """Return addresses from the switch on up."""
    frame_at, return_at = LAYOUT[arch]
    frame, pc = word(sp + frame_at), word(sp + return_at)
    for _ in range(MOST_FRAMES):
        if not pc:
            return
        yield pc
        if not frame:
            return
        try:
            frame, pc = word(frame), word(frame + 8)
        except gdb.MemoryError:
            return


def all_fibers():
    symbol = gdb.lookup_static_symbol("fibers") or gdb.lookup_global_symbol("fibers")
    if not symbol:
        raise gdb.GdbError("no fibers here: is this a program of Merpati's, with its debugging information?")
    table, fiber = symbol.value(), gdb.lookup_type("struct fiber")
    link = next(f for f in fiber.fields() if f.name == "all").bitpos // 8
    head, node = table["all"].address, table["all"]["next"]
    running = int(table["running"])
    while int(node) != int(head):
        f = gdb.Value(int(node) - link).cast(fiber.pointer())
        yield f.dereference(), int(f) == running
        node = node.dereference()["next"]


class Fibers(gdb.Command):
    """List fibers, or show the call chains of those whose name begins with the argument ("." for all)."""

    def __init__(self):
        super().__init__("fibers", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        arch = gdb.selected_inferior().architecture().name()
        if arch not in LAYOUT:
            raise gdb.GdbError(f"no layout of {arch} here: see lib/rt/context.c")
        wanted, count = argument.strip(), 0
        for fiber, running in all_fibers():
            name = fiber["name"].string(errors="replace")
            state = "running" if running else "parked" if fiber["parked"] else "ready"
            entry = function_at(int(fiber["fn"]))[0]
            frames = [] if running else [function_at(pc - 1) for pc in chain(int(fiber["sp"]), arch)]
            count += 1
            if not wanted:
                own = next((f for f in frames if not f[0].startswith(OF_THE_RUNTIME)), ("?", "?"))
                print(f"{name:20} {state:8} {entry:24} in {own[0]} at {own[1]}")
            elif wanted == "." or name.startswith(wanted):
                print(f"fiber {name}, {state}, {entry}")
                for i, (function, where) in enumerate(frames):
                    print(f"  #{i:<2} {function} at {where}")
        print(f"{count} fibers")


Fibers()
