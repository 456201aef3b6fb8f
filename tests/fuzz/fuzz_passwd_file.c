/* passwd-files: every line has a user or is none. */
#include "lib/sasl/passwd_file.h"
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ARENA_AUTO a = arena_new();
    struct slice rest = slice_make((const char *)data, size), line;
    struct passwd_entry e;
    while (passwd_next_line(&rest, &line)) {
        struct slice user = passwd_line_user(line);
        if (!passwd_line_parse(a, line, &e))
            continue;
        if (*e.user == '\0' || !e.password || !e.home || !e.mail || e.uid < -1 || e.gid < -1 || user.n == 0)
            __builtin_trap();
    }
    return 0;
}
