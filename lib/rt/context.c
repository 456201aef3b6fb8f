/* context.c - see context.h. The switch is about twenty instructions; ucontext would add two system calls to each. */
#include "lib/rt/context.h"

#include <stdint.h>
#include <string.h>

#if defined(__x86_64__)
__asm__(".text\n"
        ".globl context_switch\n"
        ".type context_switch,@function\n"
        "context_switch:\n"
        "    pushq %rbp\n"
        "    pushq %rbx\n"
        "    pushq %r12\n"
        "    pushq %r13\n"
        "    pushq %r14\n"
        "    pushq %r15\n"
        "    subq $8, %rsp\n"
        "    stmxcsr (%rsp)\n"
        "    fnstcw 4(%rsp)\n"
        "    movq %rsp, (%rdi)\n"
        "    movq %rsi, %rsp\n"
        "    ldmxcsr (%rsp)\n"
        "    fldcw 4(%rsp)\n"
        "    addq $8, %rsp\n"
        "    popq %r15\n"
        "    popq %r14\n"
        "    popq %r13\n"
        "    popq %r12\n"
        "    popq %rbx\n"
        "    popq %rbp\n"
        "    ret\n"
        ".size context_switch,.-context_switch\n");

void *context_make(void *stack_top, void (*entry)(void))
{
    /* At entry the stack pointer must be 8 below a multiple of 16, as after a call. */
    uintptr_t top = ((uintptr_t)stack_top & ~(uintptr_t)15) - 8;
    void **sp = (void **)top;
    *sp-- = NULL; /* where a return address of entry would be: ends backtraces */
    *sp-- = (void *)(uintptr_t)entry;
    for (int i = 0; i < 6; i++)
        *sp-- = NULL;
    uint32_t control[2];
    __asm__ volatile("stmxcsr %0" : "=m"(control[0]));
    uint16_t cw;
    __asm__ volatile("fnstcw %0" : "=m"(cw));
    control[1] = cw;
    memcpy(sp, control, sizeof control);
    return sp;
}
#elif defined(__aarch64__)
__asm__(".text\n"
        ".globl context_switch\n"
        ".type context_switch,%function\n"
        "context_switch:\n"
        "    sub sp, sp, #160\n"
        "    stp x19, x20, [sp, #0]\n"
        "    stp x21, x22, [sp, #16]\n"
        "    stp x23, x24, [sp, #32]\n"
        "    stp x25, x26, [sp, #48]\n"
        "    stp x27, x28, [sp, #64]\n"
        "    stp x29, x30, [sp, #80]\n"
        "    stp d8, d9, [sp, #96]\n"
        "    stp d10, d11, [sp, #112]\n"
        "    stp d12, d13, [sp, #128]\n"
        "    stp d14, d15, [sp, #144]\n"
        "    mov x9, sp\n"
        "    str x9, [x0]\n"
        "    mov sp, x1\n"
        "    ldp x19, x20, [sp, #0]\n"
        "    ldp x21, x22, [sp, #16]\n"
        "    ldp x23, x24, [sp, #32]\n"
        "    ldp x25, x26, [sp, #48]\n"
        "    ldp x27, x28, [sp, #64]\n"
        "    ldp x29, x30, [sp, #80]\n"
        "    ldp d8, d9, [sp, #96]\n"
        "    ldp d10, d11, [sp, #112]\n"
        "    ldp d12, d13, [sp, #128]\n"
        "    ldp d14, d15, [sp, #144]\n"
        "    add sp, sp, #160\n"
        "    ret\n"
        ".size context_switch,.-context_switch\n");

void *context_make(void *stack_top, void (*entry)(void))
{
    uintptr_t top = ((uintptr_t)stack_top & ~(uintptr_t)15) - 160;
    void **sp = (void **)top;
    memset(sp, 0, 160);
    sp[11] = (void *)(uintptr_t)entry; /* x30 */
    return sp;
}
#else
#error "context_switch is written for x86-64 and AArch64; add this processor here"
#endif
