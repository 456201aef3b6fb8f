/* password.c - see password.h. */
#include "lib/sasl/password.h"

#include "lib/base/mem.h"

#include <crypt.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>

struct digest_scheme {
    const char *name;
    const EVP_MD *(*md)(void);
    bool salted;
};
static const struct digest_scheme digests[] = {
    {"MD5", EVP_md5, false},   {"PLAIN-MD5", EVP_md5, false}, {"LDAP-MD5", EVP_md5, false},  {"SHA", EVP_sha1, false},
    {"SHA1", EVP_sha1, false}, {"SHA256", EVP_sha256, false}, {"SHA512", EVP_sha512, false}, {"SMD5", EVP_md5, true},
    {"SSHA", EVP_sha1, true},  {"SSHA256", EVP_sha256, true}, {"SSHA512", EVP_sha512, true},
};
static const struct {
    const char *name, *prefix;
} crypts[] = {
    {"SHA512-CRYPT", "$6$"}, {"SHA256-CRYPT", "$5$"}, {"BLF-CRYPT", "$2b$"}, {"YESCRYPT", "$y$"},
    {"MD5-CRYPT", "$1$"},    {"CRYPT", "$y$"},        {"DES-CRYPT", NULL},   {"SHA-CRYPT", "$5$"},
};
#define COUNT(a) (sizeof(a) / sizeof *(a))

bool password_base64_decode(struct buf *out, struct slice in)
{
    if (in.n % 4 != 0)
        return false;
    if (in.n == 0)
        return true;
    for (size_t i = 0; i < in.n; i++) { /* the library skips white space; we do not */
        char c = in.p[i];
        bool digit = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '/';
        if (!digit && !(c == '=' && i + 2 >= in.n))
            return false;
    }
    size_t pad = in.p[in.n - 1] != '=' ? 0 : in.p[in.n - 2] != '=' ? 1 : 2;
    if (pad == 1 && in.p[in.n - 1] != '=')
        return false;
    char *room = buf_room(out, in.n / 4 * 3);
    if (room == NULL)
        return false;
    int n = EVP_DecodeBlock((unsigned char *)room, (const unsigned char *)in.p, (int)in.n);
    if (n < 0)
        return false;
    buf_added(out, (size_t)n - pad);
    return true;
}

void password_base64_encode(struct buf *out, const void *p, size_t n)
{
    char *room = buf_room(out, (n + 2) / 3 * 4 + 1);
    if (room != NULL)
        buf_added(out, (size_t)EVP_EncodeBlock((unsigned char *)room, p, (int)n));
}

/* Splits "{SCHEME.encoding}data". */
static const char *split_scheme(const char *stored, char *scheme, size_t size, char *encoding, size_t encoding_size)
{
    const char *end = stored[0] == '{' ? strchr(stored, '}') : NULL;
    *encoding = '\0';
    if (end == NULL) {
        snprintf(scheme, size, "CRYPT");
        return stored;
    }
    snprintf(scheme, size, "%.*s", (int)(end - stored - 1), stored + 1);
    char *dot = strchr(scheme, '.');
    if (dot != NULL) {
        *dot = '\0';
        snprintf(encoding, encoding_size, "%s", dot + 1);
    }
    return end + 1;
}

static bool decode_hex(struct buf *out, const char *hex)
{
    size_t n = strlen(hex);
    if (n % 2 != 0)
        return false;
    for (size_t i = 0; i < n; i += 2) {
        unsigned byte;
        /* NOLINTNEXTLINE(cert-err34-c): two digits cannot overflow */
        if (strspn(hex + i, "0123456789abcdefABCDEF") < 2 || sscanf(hex + i, "%2x", &byte) != 1)
            return false;
        buf_putc(out, (char)byte);
    }
    return true;
}

static bool digest(const EVP_MD *md, const char *password, struct slice salt, unsigned char *out, unsigned *n)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = ctx != NULL && EVP_DigestInit_ex(ctx, md, NULL) == 1 &&
              EVP_DigestUpdate(ctx, password, strlen(password)) == 1 && EVP_DigestUpdate(ctx, salt.p, salt.n) == 1 &&
              EVP_DigestFinal_ex(ctx, out, n) == 1;
    EVP_MD_CTX_free(ctx);
    return ok;
}

static enum password_status check_digest(const struct digest_scheme *s, const char *data, const char *encoding,
                                         const char *password)
{
    const EVP_MD *md = s->md();
    size_t size = (size_t)EVP_MD_get_size(md);
    BUF_AUTO b = BUF(1000);
    bool hex = str_eq_fold(encoding, "hex") || (*encoding == '\0' && !s->salted && strlen(data) == 2 * size);
    if (!(hex ? decode_hex(&b, data) : password_base64_decode(&b, slice_of(data))) || b.len < size ||
        (!s->salted && b.len != size))
        return PASSWORD_UNSUPPORTED;
    unsigned char sum[EVP_MAX_MD_SIZE];
    unsigned n;
    struct slice salt = {b.data + size, b.len - size};
    if (!digest(md, password, salt, sum, &n))
        return PASSWORD_UNSUPPORTED;
    return CRYPTO_memcmp(sum, b.data, size) == 0 ? PASSWORD_MATCH : PASSWORD_MISMATCH;
}

static enum password_status check_crypt(const char *data, const char *password)
{
    struct crypt_data *state = mem_alloc(sizeof *state);
    const char *made = *data != '\0' ? crypt_rn(password, data, state, sizeof *state) : NULL;
    enum password_status st = PASSWORD_UNSUPPORTED;
    if (made != NULL) {
        size_t n = strlen(made);
        st = n == strlen(data) && CRYPTO_memcmp(made, data, n) == 0 ? PASSWORD_MATCH : PASSWORD_MISMATCH;
    } else if (*data == '!' || *data == '*') {
        st = PASSWORD_MISMATCH; /* locked */
    }
    explicit_bzero(state, sizeof *state);
    free(state);
    return st;
}

const char *password_in_clear(const char *stored)
{
    char scheme[40], encoding[8];
    const char *data = split_scheme(stored, scheme, sizeof scheme, encoding, sizeof encoding);
    bool clear = (str_eq_fold(scheme, "PLAIN") || str_eq_fold(scheme, "CLEARTEXT")) && *encoding == '\0';
    return clear ? data : NULL;
}

enum password_status password_check(const char *stored, const char *password)
{
    char scheme[40], encoding[8];
    const char *data = split_scheme(stored, scheme, sizeof scheme, encoding, sizeof encoding);
    if (password_in_clear(stored) != NULL) {
        unsigned char a[EVP_MAX_MD_SIZE], b[EVP_MAX_MD_SIZE]; /* equal lengths, so that the time says nothing */
        unsigned n;
        if (!digest(EVP_sha256(), data, SLICE(""), a, &n) || !digest(EVP_sha256(), password, SLICE(""), b, &n))
            return PASSWORD_UNSUPPORTED;
        return CRYPTO_memcmp(a, b, n) == 0 ? PASSWORD_MATCH : PASSWORD_MISMATCH;
    }
    for (size_t i = 0; i < COUNT(digests); i++)
        if (str_eq_fold(scheme, digests[i].name))
            return check_digest(&digests[i], data, encoding, password);
    for (size_t i = 0; i < COUNT(crypts); i++)
        if (str_eq_fold(scheme, crypts[i].name))
            return check_crypt(data, password);
    return PASSWORD_UNSUPPORTED;
}

static bool make_crypt(const char *name, const char *prefix, const char *password, struct buf *out)
{
    char salt[CRYPT_GENSALT_OUTPUT_SIZE];
    if (crypt_gensalt_rn(prefix, 0, NULL, 0, salt, sizeof salt) == NULL)
        return false;
    struct crypt_data *state = mem_alloc(sizeof *state);
    const char *made = crypt_rn(password, salt, state, sizeof *state);
    if (made != NULL)
        buf_printf(out, "{%s}%s", name, made);
    explicit_bzero(state, sizeof *state);
    free(state);
    return made != NULL;
}

bool password_make(const char *scheme, const char *password, struct buf *out)
{
    if (*scheme == '\0')
        scheme = crypts[0].name;
    if (str_eq_fold(scheme, "PLAIN") || str_eq_fold(scheme, "CLEARTEXT")) {
        buf_printf(out, "{PLAIN}%s", password);
        return true;
    }
    for (size_t i = 0; i < COUNT(crypts); i++)
        if (str_eq_fold(scheme, crypts[i].name) && crypts[i].prefix != NULL)
            return make_crypt(crypts[i].name, crypts[i].prefix, password, out);
    for (size_t i = 0; i < COUNT(digests); i++) {
        unsigned char sum[EVP_MAX_MD_SIZE + 8];
        unsigned n;
        if (!str_eq_fold(scheme, digests[i].name))
            continue;
        struct slice salt = {(char *)sum + EVP_MD_get_size(digests[i].md()), digests[i].salted ? 8 : 0};
        if (salt.n > 0 && RAND_bytes((unsigned char *)salt.p, (int)salt.n) != 1)
            return false;
        unsigned char *end = (unsigned char *)salt.p;
        unsigned char kept[8];
        memcpy(kept, end, salt.n);
        if (!digest(digests[i].md(), password, slice_make((char *)kept, salt.n), sum, &n))
            return false;
        buf_printf(out, "{%s.b64}", digests[i].name);
        memcpy(sum + n, kept, salt.n);
        password_base64_encode(out, sum, n + salt.n);
        return true;
    }
    return false;
}

void password_waste_time(const char *password)
{
    BUF_AUTO b = BUF(500);
    password_make("", password, &b);
}
