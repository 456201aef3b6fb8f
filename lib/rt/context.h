/* context.h - switching stacks: saves the callee-saved registers on the present stack and goes on with another one.
 * Private to lib/rt. */
#pragma once
#include <stddef.h>

/* Saves the stack pointer in *from and continues at `to`. */
void context_switch(void **from, void *to);
/* Lays out a fresh stack so that the first switch to the returned pointer calls entry(), which must not return. */
void *context_make(void *stack_top, void (*entry)(void));
