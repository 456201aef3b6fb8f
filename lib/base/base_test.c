/* base_test.c - strings, buffers, arenas, hashes, results. */
#include "lib/base/arena.h"
#include "lib/base/buf.h"
#include "lib/base/hash.h"
#include "lib/base/list.h"
#include "lib/base/mem.h"
#include "lib/base/result.h"
#include "lib/base/vec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static void slice_tokens_and_numbers(void **state)
{
    struct slice rest = slice_of(" a, bb ,"), t;
    assert_true(slice_token(&rest, " ,", &t) && slice_eq(t, SLICE("a")));
    assert_true(slice_token(&rest, " ,", &t) && slice_eq(t, SLICE("bb")));
    assert_false(slice_token(&rest, " ,", &t));
    unsigned long long v;
    assert_true(slice_to_u64(SLICE("18446744073709551615"), UINT64_MAX, &v) && v == UINT64_MAX);
    assert_false(slice_to_u64(SLICE("18446744073709551616"), UINT64_MAX, &v));
    assert_false(slice_to_u64(SLICE("-1"), 10, &v));
    assert_false(slice_to_u64(SLICE(""), 10, &v));
    assert_true(slice_eq_fold(SLICE("EHLO"), SLICE("ehlo")));
    assert_false(slice_eq_fold(SLICE("\xC4"), SLICE("\xE4"))); /* ASCII only */
    assert_true(slice_eq(slice_trim(SLICE(" \tx y\r\n")), SLICE("x y")));
}

static void buffer_stops_at_its_maximum(void **state)
{
    BUF_AUTO b = BUF(5);
    assert_string_equal(buf_cstr(&b), "");
    buf_puts(&b, "abc");
    assert_false(b.overflow);
    buf_puts(&b, "defg");
    assert_true(b.overflow);
    assert_string_equal(buf_cstr(&b), "abcde");
    buf_consume(&b, 2);
    assert_string_equal(buf_cstr(&b), "cde");
    buf_reset(&b);
    buf_printf(&b, "%d", 12345);
    assert_string_equal(buf_cstr(&b), "12345");
    assert_null(buf_room(&b, 1));
}

static void arena_keeps_what_it_gave(void **state)
{
    ARENA_AUTO a = arena_new();
    char *first = arena_strdup(a, "first");
    for (int i = 0; i < 1000; i++)
        assert_int_equal(((uintptr_t)arena_alloc(a, (size_t)i) & 15), 0);
    assert_string_equal(first, "first");
    assert_string_equal(arena_printf(a, "%s-%d", first, 7), "first-7");
    arena_reset(a);
    assert_string_equal(arena_strndup(a, "abcdef", 3), "abc");
}

static void hash_finds_replaces_removes(void **state)
{
    struct hash *h = hash_new();
    static int values[500];
    char key[20];
    for (int i = 0; i < 500; i++) {
        snprintf(key, sizeof key, "key%d", i);
        assert_null(hash_put(h, key, &values[i]));
    }
    assert_ptr_equal(hash_put(h, "key7", &values[8]), &values[7]);
    assert_ptr_equal(hash_get(h, "key7"), &values[8]);
    assert_null(hash_get(h, "nokey"));
    size_t it = 0, seen = 0;
    const char *k;
    void *v;
    while (hash_next(h, &it, &k, &v)) {
        seen++;
        assert_non_null(hash_remove(h, k)); /* the entry just returned */
    }
    assert_int_equal(seen, 500);
    assert_int_equal(hash_count(h), 0);
    hash_free(&h, NULL);
    assert_null(h);
}

static void result_class_follows_outcome(void **state)
{
    struct result r = result_try_again("5.1.1", "no %s", "luck");
    assert_string_equal(r.dsn, "4.1.1");
    assert_string_equal(r.text, "no luck");
    assert_false(result_is_ok(&r));
    r = result_ok("2.1.5", "fine");
    assert_string_equal(r.dsn, "2.1.5");
}

static void list_order_and_removal(void **state)
{
    struct item {
        int v;
        struct list node;
    } items[3] = {{.v = 0}, {.v = 1}, {.v = 2}};
    struct list head = LIST_INIT(head);
    for (int i = 0; i < 3; i++)
        list_append(&head, &items[i].node);
    list_remove(&items[1].node);
    list_remove(&items[1].node);
    assert_int_equal(LIST_ENTRY(list_pop(&head), struct item, node)->v, 0);
    assert_int_equal(LIST_ENTRY(list_pop(&head), struct item, node)->v, 2);
    assert_null(list_pop(&head));
    VEC(int) v = {0};
    for (int i = 0; i < 100; i++)
        VEC_PUSH(&v, i);
    assert_int_equal(v.items[99], 99);
    VEC_FREE(&v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slice_tokens_and_numbers),     cmocka_unit_test(buffer_stops_at_its_maximum),
        cmocka_unit_test(arena_keeps_what_it_gave),     cmocka_unit_test(hash_finds_replaces_removes),
        cmocka_unit_test(result_class_follows_outcome), cmocka_unit_test(list_order_and_removal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
