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
    if (size < 4096)
        fuzz_session(slice_make((const char *)data, size), imap_session);
    return 0;
}
