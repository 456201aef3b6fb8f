/* UID lists: one that parses is printed and parsed again with the same messages. */
#include "lib/store/maildir_name.h"
#include "lib/store/uidlist.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = slice_make((const char *)data, size);
    struct uidlist l, again;
    struct maildir_name name;
    maildir_name_parse(in, &name);
    if (!uidlist_parse(&l, in))
        return 0;
    BUF_AUTO text = BUF(1 << 24);
    uidlist_print(&l, &text);
    if (!uidlist_parse(&again, buf_slice(&text)) || again.entries.n != l.entries.n || again.next != l.next)
        __builtin_trap();
    uidlist_fini(&again);
    uidlist_fini(&l);
    return 0;
}
