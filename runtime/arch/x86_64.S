/* SPDX-License-Identifier: MIT */
/* The switch between stacks, x86-64 System V.
 *
 * Saved frame, from the saved stack pointer upwards: r15 r14 r13 r12 rbx rbp rip (debuggers know
 * it).
 * lw_switch ends in `ret`: with its single call site (switch_to in sched.c) the return predictor is
 * right every time (2 ns); a jump there costs 10.  The control words of mxcsr and x87 are not
 * saved:
 * the floating-point environment belongs to the thread. */
    .text

    .globl lw_switch
    .hidden lw_switch
    .type lw_switch, @function
    .p2align 4
lw_switch:                          /* (void **from: rdi, void *to: rsi) */
    .cfi_startproc
    pushq %rbp
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset rbp, 0
    pushq %rbx
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset rbx, 0
    pushq %r12
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset r12, 0
    pushq %r13
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset r13, 0
    pushq %r14
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset r14, 0
    pushq %r15
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset r15, 0
    movq %rsp, %rdx
    movq %rsi, %rsp                 /* the CFA rule holds on: the new stack has the same frame */
    movq %rdx, (%rdi)               /* [S1] release: x86 stores are; not before rsp has moved */
    .globl lw_switch_resume
    .hidden lw_switch_resume
lw_switch_resume:
    popq %r15
    .cfi_adjust_cfa_offset -8
    .cfi_restore r15
    popq %r14
    .cfi_adjust_cfa_offset -8
    .cfi_restore r14
    popq %r13
    .cfi_adjust_cfa_offset -8
    .cfi_restore r13
    popq %r12
    .cfi_adjust_cfa_offset -8
    .cfi_restore r12
    popq %rbx
    .cfi_adjust_cfa_offset -8
    .cfi_restore rbx
    popq %rbp
    .cfi_adjust_cfa_offset -8
    .cfi_restore rbp
    ret
    .cfi_endproc
    .size lw_switch, .-lw_switch

    .globl lw_switch_new
    .hidden lw_switch_new
    .type lw_switch_new, @function
    .p2align 4
lw_switch_new:                           /* (void **from: rdi, void *top: rsi) */
    .cfi_startproc
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    .cfi_adjust_cfa_offset 48
    movq %rsp, %rdx
    movq %rsi, %rsp
    movq %rdx, (%rdi)               /* [S1] */
    jmp lw_task_entry
    .cfi_endproc
    .size lw_switch_new, .-lw_switch_new

/* The first frame of a task: debuggers and unwinders stop here.  lw_task_main is entered by a jump,
 * with
 * a return address that it never uses: a call would leave an entry behind in the return predictor,
 * and each return after the task would be mispredicted. */
    .type lw_task_entry, @function
    .p2align 4
lw_task_entry:
    .cfi_startproc
    .cfi_undefined rip
    xorl %ebp, %ebp
    leaq lw_task_end(%rip), %rax
    pushq %rax
    jmp lw_task_main
    nop
lw_task_end:
    ud2
    .cfi_endproc
    .size lw_task_entry, .-lw_task_entry

    .globl lw_switch_enter
    .hidden lw_switch_enter
    .type lw_switch_enter, @function
    .p2align 4
lw_switch_enter:                    /* (void **from: rdi, void *top: rsi, entry: rdx) */
    .cfi_startproc
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    .cfi_adjust_cfa_offset 48
    movq %rsp, %rcx
    movq %rsi, %rsp
    movq %rcx, (%rdi)
    jmp lw_stack_entry
    .cfi_endproc
    .size lw_switch_enter, .-lw_switch_enter

    .type lw_stack_entry, @function
    .p2align 4
lw_stack_entry:
    .cfi_startproc
    .cfi_undefined rip
    xorl %ebp, %ebp
    call *%rdx
    ud2
    .cfi_endproc
    .size lw_stack_entry, .-lw_stack_entry

    .section .note.GNU-stack, "", @progbits
