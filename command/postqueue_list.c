/* postqueue_list.c - see postqueue_list.h. */
#include "command/postqueue_list.h"

#include "lib/base/slice.h"

#include <stdlib.h>
#include <time.h>

/* A text of the list, in memory that is used again for the next one. */
struct text {
    char *p;
    size_t cap;
};

struct entry {
    struct text queue_name, queue_id, time, size, forced_expire, sender, recipient, reason;
};

static void entry_free(struct entry *e)
{
    struct text *all[] = {&e->queue_name,    &e->queue_id, &e->time,      &e->size,
                          &e->forced_expire, &e->sender,   &e->recipient, &e->reason};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        free(all[i]->p);
}

static bool read_text(FILE *in, struct text *t)
{
    ssize_t n = getdelim(&t->p, &t->cap, '\0', in);
    return n > 0 && t->p[n - 1] == '\0';
}

/* More follows: 1; the empty name that ends a list: 0; the end of the input: -1. */
static int more(FILE *in)
{
    int c = getc(in);
    if (c <= 0)
        return c == 0 ? 0 : -1;
    ungetc(c, in);
    return 1;
}

static bool read_value(FILE *in, const char *name, struct text *value)
{
    struct text got = {0};
    bool ok = read_text(in, &got) && strcmp(got.p, name) == 0 && read_text(in, value);
    free(got.p);
    return ok;
}

static bool read_greeting(FILE *in)
{
    struct text protocol = {0};
    bool ok =
        read_value(in, "protocol", &protocol) && strcmp(protocol.p, "mail_queue_list_protocol") == 0 && more(in) == 0;
    free(protocol.p);
    return ok;
}

static bool read_message(FILE *in, struct entry *e)
{
    return read_value(in, "queue_name", &e->queue_name) && read_value(in, "queue_id", &e->queue_id) &&
           read_value(in, "time", &e->time) && read_value(in, "size", &e->size) &&
           read_value(in, "forced_expire", &e->forced_expire) && read_value(in, "sender", &e->sender);
}

static bool read_recipient(FILE *in, struct entry *e)
{
    return read_value(in, "recipient", &e->recipient) && read_value(in, "reason", &e->reason);
}

/* ---- text ---- */
/* Terminals are not to be controlled by what strangers wrote. */
static const char *printable(char *s)
{
    for (char *p = s; *p; p++)
        if ((unsigned char)*p < ' ' || *p == 127)
            *p = '?';
    return s;
}

/* Blanks and specials are quoted (RFC 5321 section 4.1.2), so that the list shows what a header would. */
static void print_address(FILE *out, char *address)
{
    printable(address);
    char *at = strrchr(address, '@');
    size_t local = at ? (size_t)(at - address) : strlen(address);
    bool quote =
        local == 0 || address[0] == '.' || address[local - 1] == '.' || strcspn(address, " \"(),:;<>@[\\]") < local;
    for (size_t i = 1; i < local; i++)
        quote = quote || (address[i] == '.' && address[i - 1] == '.');
    if (!quote) {
        fputs(address, out);
        return;
    }
    putc('"', out);
    for (size_t i = 0; i < local; i++) {
        if (address[i] == '"' || address[i] == '\\')
            putc('\\', out);
        putc(address[i], out);
    }
    fprintf(out, "\"%s", address + local);
}

static char mark(const struct entry *e)
{
    if (strcmp(e->queue_name.p, "active") == 0)
        return '*';
    return strcmp(e->queue_name.p, "hold") == 0 ? '!' : strcmp(e->forced_expire.p, "0") != 0 ? '#' : '\0';
}

static void print_message(FILE *out, const struct entry *e, bool long_ids)
{
    char id[120], date[64] = "";
    char m = mark(e);
    snprintf(id, sizeof id, "%s%.*s", e->queue_id.p, m != '\0', &m);
    time_t when = (time_t)strtoll(e->time.p, NULL, 10);
    struct tm tm;
    if (localtime_r(&when, &tm))
        strftime(date, sizeof date, "%a %b %e %H:%M:%S %Y", &tm);
    long size = strtol(e->size.p, NULL, 10);
    if (long_ids)
        fprintf(out, "%-17s %8ld %19.19s ", printable(id), size, date);
    else
        fprintf(out, "%-11s %7ld %20.20s ", printable(id), size, date);
    print_address(out, e->sender.p);
    putc('\n', out);
}

enum { INDENT_SHORT = 41, INDENT_LONG = 47 }; /* of recipients: below the sender */

/* The recipients up to the end of the message. */
static bool print_recipients(FILE *in, FILE *out, struct entry *e, bool long_ids)
{
    char *last = strdup("");
    int state;
    bool ok = last != NULL;
    while (ok && (state = more(in)) != 0) {
        ok = state > 0 && read_recipient(in, e);
        if (!ok)
            break;
        printable(e->reason.p);
        if (strcmp(last, e->reason.p) != 0) {
            const char *reason = *e->reason.p ? e->reason.p : "reason unavailable";
            int pad = 76 - (int)strlen(reason);
            fprintf(out, "%*s(%s)\n", pad > 0 ? pad : 0, "", reason);
            free(last);
            last = strdup(e->reason.p);
            ok = last != NULL;
        }
        fprintf(out, "%*s", long_ids ? INDENT_LONG : INDENT_SHORT, "");
        print_address(out, e->recipient.p);
        putc('\n', out);
    }
    free(last);
    return ok;
}

static void print_title(FILE *out, bool long_ids)
{
    if (long_ids)
        fprintf(out, "%-17s %8s %-19s %s\n", "----Queue ID-----", "--Size--", "---Arrival Time----",
                "--Sender/Recipient------");
    else
        fprintf(out, "%-11s %7s %-20s %s\n", "-Queue ID-", "--Size--", "----Arrival Time----",
                "-Sender/Recipient-------");
}

bool postqueue_list_text(FILE *in, FILE *out, bool long_ids)
{
    struct entry e = {0};
    unsigned long n = 0, bytes = 0;
    int state = -1;
    bool ok = read_greeting(in);
    while (ok && (state = more(in)) > 0 && (ok = read_message(in, &e))) {
        if (n++ == 0)
            print_title(out, long_ids);
        else
            putc('\n', out);
        bytes += strtoul(e.size.p, NULL, 10);
        print_message(out, &e, long_ids);
        ok = print_recipients(in, out, &e, long_ids);
    }
    ok = ok && state == 0;
    if (ok && n == 0)
        fputs("Mail queue is empty\n", out);
    else if (ok)
        fprintf(out, "\n-- %lu Kbytes in %lu Request%s.\n", bytes / 1024, n, n == 1 ? "" : "s");
    entry_free(&e);
    return ok;
}

/* ---- JSON ---- */
/* Bytes of the UTF-8 character at p; 0 when it is none. */
static size_t utf8_length(const unsigned char *p)
{
    size_t n = p[0] >= 0xf0 && p[0] < 0xf5 ? 4 : p[0] >= 0xe0 && p[0] < 0xf0 ? 3 : p[0] >= 0xc2 && p[0] < 0xe0 ? 2 : 0;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    bool overlong = (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xf0 && p[1] < 0x90);
    bool surrogate = p[0] == 0xed && p[1] >= 0xa0;
    return overlong || surrogate || (p[0] == 0xf4 && p[1] >= 0x90) ? 0 : n;
}

static void print_control(FILE *out, unsigned char c)
{
    static const char names[] = "\"\"\\\\\bb\ff\nn\rr\tt"; /* the byte, and what stands for it */
    for (const char *p = names; *p; p += 2)
        if ((unsigned char)*p == c) {
            fprintf(out, "\\%c", p[1]);
            return;
        }
    fprintf(out, "\\u%04X", c);
}

static void print_json(FILE *out, const char *s, bool utf8)
{
    const unsigned char *p = (const unsigned char *)s;
    while (*p) {
        size_t n = *p >= 0x80 && utf8 ? utf8_length(p) : 0;
        if (n > 0)
            fwrite(p, 1, n, out);
        else if (*p >= 0x80)
            putc('?', out);
        else if (*p < ' ' || *p == 127 || *p == '"' || *p == '\\')
            print_control(out, *p);
        else
            putc(*p, out);
        p += n ? n : 1;
    }
}

static void print_json_string(FILE *out, const char *before, const char *s, bool utf8, const char *after)
{
    fputs(before, out);
    print_json(out, s, utf8);
    fputs(after, out);
}

static bool print_json_recipients(FILE *in, FILE *out, struct entry *e, bool utf8)
{
    int state;
    for (unsigned n = 0; (state = more(in)) > 0; n++) {
        if (!read_recipient(in, e))
            return false;
        print_json_string(out, n ? ", {\"address\": \"" : "{\"address\": \"", e->recipient.p, utf8, "\"");
        if (*e->reason.p)
            print_json_string(out, ", \"delay_reason\": \"", e->reason.p, utf8, "\"");
        putc('}', out);
    }
    return state == 0;
}

bool postqueue_list_json(FILE *in, FILE *out, bool utf8)
{
    struct entry e = {0};
    int state = -1;
    bool ok = read_greeting(in);
    while (ok && (state = more(in)) > 0 && (ok = read_message(in, &e))) {
        print_json_string(out, "{\"queue_name\": \"", e.queue_name.p, utf8, "\", ");
        print_json_string(out, "\"queue_id\": \"", e.queue_id.p, utf8, "\", ");
        fprintf(out, "\"arrival_time\": %lld, \"message_size\": %lld, \"forced_expire\": %s, ",
                strtoll(e.time.p, NULL, 10), strtoll(e.size.p, NULL, 10),
                strcmp(e.forced_expire.p, "0") ? "true" : "false");
        print_json_string(out, "\"sender\": \"", e.sender.p, utf8, "\", \"recipients\": [");
        ok = print_json_recipients(in, out, &e, utf8);
        fputs("]}\n", out);
    }
    entry_free(&e);
    return ok && state == 0;
}
