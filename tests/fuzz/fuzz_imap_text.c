/* Words, sets and mailbox names of IMAP; a name that is valid has one spelling. */
#include "lib/syntax/imap_name.h"
#include "lib/syntax/imap_set.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ARENA_AUTO a = arena_new();
    struct slice in = slice_make((const char *)data, size), word;
    struct imap_cursor c = {in, a};
    struct imap_set set;
    uint64_t n;
    bool waits;
    imap_literal_announced(in, &n, &waits);
    while (imap_astring(&c, &word) || imap_flag(&c, &word) || imap_char(&c, '(') || imap_space(&c)) {
        BUF_AUTO out = BUF(100000), name = BUF(100000);
        imap_print_astring(&out, word);
        imap_name_to_utf8(&name, word);
    }
    c.rest = in;
    if (imap_set_parse(&c, &set)) {
        bool before[12];
        for (uint32_t i = 0; i < 12; i++)
            before[i] = imap_set_has(&set, i, 9);
        imap_set_settle(&set, 9);
        for (uint32_t i = 0; i < 12; i++)
            if (imap_set_has(&set, i, 9) != before[i])
                __builtin_trap();
    }
    if (size > 1)
        imap_name_matches(slice_make(in.p, size / 2), slice_make(in.p + size / 2, size - size / 2), '.');
    return 0;
}
