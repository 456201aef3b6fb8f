/* fuzz_main_cf.c - main.cf from a stranger: reading, expanding and naming must end, whatever the text. */
#include "lib/conf/common.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void ignore(void *ctx, const char *name, const char *text)
{
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    BUF_AUTO err = BUF(1000);
    struct conf *c = conf_parse("/etc/x", slice_make((const char *)data, size), &err);
    const char *name, *raw;
    if (!c)
        return 0;
    for (size_t it = 0; it < 50 && conf_next(c, &it, &name, &raw);) {
        BUF_AUTO why = BUF(1000);
        conf_value(c, name, &why);
        conf_parse_time(raw, 's', &(int64_t){0});
    }
    conf_check_names(c, NULL, ignore, NULL);
    conf_free(&c);
    return 0;
}
