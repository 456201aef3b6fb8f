/* vec.h - growing arrays: VEC(int) v = {0}; VEC_PUSH(&v, 7); v.items[0]; VEC_FREE(&v); */
#pragma once
#include "lib/base/mem.h"

#define VEC(type)      \
    struct {           \
        type *items;   \
        size_t n, cap; \
    }
#define VEC_PUSH(v, item)                                                       \
    do {                                                                        \
        if ((v)->n == (v)->cap) {                                               \
            (v)->cap = (v)->cap ? (v)->cap * 2 : 8;                             \
            (v)->items = mem_resize((v)->items, (v)->cap * sizeof *(v)->items); \
        }                                                                       \
        (v)->items[(v)->n++] = (item);                                          \
    } while (0)
#define VEC_FREE(v)            \
    do {                       \
        free((v)->items);      \
        (v)->items = NULL;     \
        (v)->n = (v)->cap = 0; \
    } while (0)
