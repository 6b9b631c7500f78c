/* SPDX-License-Identifier: MIT */
/* The switch between stacks, AAPCS64.
 *
 * Saved frame, from the saved stack pointer upwards: x19-x30 (96 bytes), d8-d15 (64 bytes). */
    .text

    .globl lw_switch
    .hidden lw_switch
    .type lw_switch, %function
    .p2align 4
lw_switch:                          // (void **from: x0, void *to: x1)
    .cfi_startproc
    sub sp, sp, #160
    .cfi_def_cfa_offset 160
    stp x19, x20, [sp, #0]
    stp x21, x22, [sp, #16]
    stp x23, x24, [sp, #32]
    stp x25, x26, [sp, #48]
    stp x27, x28, [sp, #64]
    stp x29, x30, [sp, #80]
    .cfi_offset x19, -160
    .cfi_offset x20, -152
    .cfi_offset x21, -144
    .cfi_offset x22, -136
    .cfi_offset x23, -128
    .cfi_offset x24, -120
    .cfi_offset x25, -112
    .cfi_offset x26, -104
    .cfi_offset x27, -96
    .cfi_offset x28, -88
    .cfi_offset x29, -80
    .cfi_offset x30, -72
    stp d8, d9, [sp, #96]
    stp d10, d11, [sp, #112]
    stp d12, d13, [sp, #128]
    stp d14, d15, [sp, #144]
    mov x9, sp
    mov sp, x1
    stlr x9, [x0]                   // [S1] release: everything saved above is visible with it
    .globl lw_switch_resume
    .hidden lw_switch_resume
lw_switch_resume:
    ldp x19, x20, [sp, #0]
    ldp x21, x22, [sp, #16]
    ldp x23, x24, [sp, #32]
    ldp x25, x26, [sp, #48]
    ldp x27, x28, [sp, #64]
    ldp x29, x30, [sp, #80]
    ldp d8, d9, [sp, #96]
    ldp d10, d11, [sp, #112]
    ldp d12, d13, [sp, #128]
    ldp d14, d15, [sp, #144]
    add sp, sp, #160
    .cfi_def_cfa_offset 0
    ret
    .cfi_endproc
    .size lw_switch, .-lw_switch

    .globl lw_switch_new
    .hidden lw_switch_new
    .type lw_switch_new, %function
    .p2align 4
lw_switch_new:                           // (void **from: x0, void *top: x1)
    .cfi_startproc
    sub sp, sp, #160
    .cfi_def_cfa_offset 160
    stp x19, x20, [sp, #0]
    stp x21, x22, [sp, #16]
    stp x23, x24, [sp, #32]
    stp x25, x26, [sp, #48]
    stp x27, x28, [sp, #64]
    stp x29, x30, [sp, #80]
    stp d8, d9, [sp, #96]
    stp d10, d11, [sp, #112]
    stp d12, d13, [sp, #128]
    stp d14, d15, [sp, #144]
    mov x9, sp
    mov sp, x1
    stlr x9, [x0]                   // [S1]
    b lw_task_entry
    .cfi_endproc
    .size lw_switch_new, .-lw_switch_new

// The first frame of a task: debuggers and unwinders stop here.  lw_task_main is entered by a
// branch,
// with a return address that it never uses: bl would leave an entry behind in the return predictor.
    .type lw_task_entry, %function
    .p2align 4
lw_task_entry:
    .cfi_startproc
    .cfi_undefined x30
    mov x29, xzr
    adr x30, lw_task_end
    b lw_task_main
    nop
lw_task_end:
    brk #0
    .cfi_endproc
    .size lw_task_entry, .-lw_task_entry

    .globl lw_switch_enter
    .hidden lw_switch_enter
    .type lw_switch_enter, %function
    .p2align 4
lw_switch_enter:                    // (void **from: x0, void *top: x1, entry: x2)
    .cfi_startproc
    sub sp, sp, #160
    .cfi_def_cfa_offset 160
    stp x19, x20, [sp, #0]
    stp x21, x22, [sp, #16]
    stp x23, x24, [sp, #32]
    stp x25, x26, [sp, #48]
    stp x27, x28, [sp, #64]
    stp x29, x30, [sp, #80]
    stp d8, d9, [sp, #96]
    stp d10, d11, [sp, #112]
    stp d12, d13, [sp, #128]
    stp d14, d15, [sp, #144]
    mov x9, sp
    mov sp, x1
    stlr x9, [x0]
    b lw_stack_entry
    .cfi_endproc
    .size lw_switch_enter, .-lw_switch_enter

    .type lw_stack_entry, %function
    .p2align 4
lw_stack_entry:
    .cfi_startproc
    .cfi_undefined x30
    mov x29, xzr
    blr x2
    brk #0
    .cfi_endproc
    .size lw_stack_entry, .-lw_stack_entry

    .section .note.GNU-stack, "", %progbits
