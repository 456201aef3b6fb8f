/* One command line: split, path, parameters. */
#include "lib/syntax/smtp_command.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ARENA_AUTO a = arena_new();
    struct slice in = slice_make((const char *)data, size), line;
    size_t used;
    bool bare;
    if (!smtp_command_line(in, &line, &used, &bare))
        line = in;
    struct smtp_mail_params mail;
    struct smtp_rcpt_params rcpt;
    const char *word, *bad, *address;
    bool broken;
    for (struct slice rest = line; smtp_command_word(a, &rest, &word, &broken);) {
        if (rest.p < line.p || rest.p + rest.n != line.p + line.n)
            abort();
        for (int strict = 0; strict < 2; strict++)
            smtp_command_path(a, word, strict, true, &address);
        smtp_command_mail_params(rest, a, &mail, &bad);
        smtp_command_rcpt_params(rest, a, &rcpt, &bad);
    }
    smtp_command_words(a, line);
    return 0;
}
