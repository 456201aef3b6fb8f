/* Tables of rules and lists as an operator, or a program of his, writes them. The first byte chooses the type; the rest
 * is the table. */
#include "lib/base/log.h"
#include "lib/conf/conf.h"
#include "lib/map/map.h"
#include "lib/map/match_list.h"
#include <stdint.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const keys[] = {"example.com", "user+ext@example.com", "192.0.2.77",
                                   "2001:db8::7", "Subject: x y",         ""};
enum { N_KEYS = sizeof keys / sizeof *keys };

static struct conf *conf;
static char folder[] = "/tmp/fuzz_map.XXXXXX", file[64];

static void remove_folder(void)
{
    unlink(file);
    rmdir(folder);
}

static void start(void)
{
    BUF_AUTO err = BUF(1000);
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    log_open("fuzz", LOG_SINK_FD, null);
    conf = conf_parse("/etc/x", SLICE(""), &err);
    if (!conf || !mkdtemp(folder))
        abort();
    snprintf(file, sizeof file, "%s/table", folder);
    atexit(remove_folder);
}

static void look_up(const char *title)
{
    BUF_AUTO err = BUF(4000);
    struct map *m = map_open(conf, title, &err);
    for (size_t i = 0; m && i < N_KEYS; i++) {
        BUF_AUTO out = BUF(100000);
        map_lookup(m, keys[i], &out);
    }
    map_close(&m);
}

static void in_file(const char *type, const void *p, size_t n)
{
    char title[100];
    int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, p, n) != (ssize_t)n)
        abort();
    close(fd);
    snprintf(title, sizeof title, "%s:%s", type, file);
    look_up(title);
}

static void as_list(const char *text)
{
    BUF_AUTO err = BUF(4000);
    struct match_list *l = match_list_open(conf, "fuzz", text, true, &err);
    for (size_t i = 0; l && i < N_KEYS; i++) {
        match_list_domain(l, keys[i]);
        match_list_string(l, keys[i]);
    }
    match_list_close(&l);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const types[] = {"cidr", "regexp", "pcre", "texthash"};
    if (!conf)
        start();
    if (size == 0 || size > 20000)
        return 0;
    unsigned kind = data[0] % 7;
    if (kind < 4) {
        in_file(types[kind], data + 1, size - 1);
        return 0;
    }
    BUF_AUTO text = BUF(30000);
    static const char *const inside[] = {"", "inline:", "unionmap:"};
    buf_puts(&text, inside[kind - 4]);
    buf_append(&text, data + 1, size - 1);
    if (memchr(text.data, '/', text.len)) /* no files of this machine */
        return 0;
    if (kind == 4)
        as_list(buf_cstr(&text));
    else
        look_up(buf_cstr(&text));
    return 0;
}
