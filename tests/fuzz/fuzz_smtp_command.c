/* One command line: split, path, parameters. */
#include "lib/syntax/smtp_command.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ARENA_AUTO a = arena_new();
    struct slice in = slice_make((const char *)data, size), line, verb, rest, params, bad;
    size_t used;
    bool bare;
    if (!smtp_command_line(in, &line, &used, &bare))
        line = in;
    smtp_command_split(line, &verb, &rest);
    for (int strict = 0; strict < 2; strict++) {
        BUF_AUTO address = BUF(2000);
        struct smtp_mail_params mail;
        struct smtp_rcpt_params rcpt;
        if (smtp_command_path(rest, SLICE("FROM:"), strict, &address, &params) == SMTP_PATH_OK)
            smtp_command_mail_params(params, a, &mail, &bad);
        if (smtp_command_path(rest, SLICE("TO:"), strict, &address, &params) == SMTP_PATH_OK)
            smtp_command_rcpt_params(params, a, &rcpt, &bad);
        smtp_command_address(rest, strict, &address);
    }
    return 0;
}
