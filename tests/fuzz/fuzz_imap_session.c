/* IMAP after the login: whatever a client sends, the session ends. */
#include "imapd/imap_session.h"
#include "imapd/imapd.h"
#include "tests/fuzz/session.h"

struct imapd_params imapd_params;
/* clang-format off */
static const struct param table[] = {
#define PARAM_OWNER struct imapd_params
#include "lib/conf/param_table.h"
#include "imapd/params.def"
#include "lib/conf/param_end.h"
};
/* clang-format on */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct conf *conf;
    BUF_AUTO err = BUF(1000);
    if (!conf && (!(conf = conf_parse("/etc/x", SLICE(""), &err)) ||
                  !conf_bind(conf, table, sizeof table / sizeof *table, &imapd_params, &err)))
        abort();
    /* IDLE starts a watch that lives as long as the process: the loop would not end. */
    struct slice in = slice_make((const char *)data, size);
    for (size_t i = 0; i + 4 <= in.n; i++)
        if (slice_eq_fold(slice_make(in.p + i, 4), SLICE("IDLE")))
            return 0;
    if (size < 4096)
        fuzz_session(in, imap_session);
    return 0;
}
