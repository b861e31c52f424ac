/* Where the libc copy's trampolines come in.
 *
 * In: rax the number, arguments in the kernel's registers, rcx the address of a `syscall`
 * instruction that would run the call plainly, r11 free, rsp as at the call's site (the red zone
 * below it is in use).
 * Out: jmp *rcx runs the call plainly; jmp to rcx+2 with rax set says that it was done.
 *
 * The unwind rows are exact at every instruction: a cancelled thread is unwound from a system
 * call that the dispatcher made, through here, into libc's caller. */
    .text
    .p2align 6
    .globl shim_entry
    .hidden shim_entry
    .type shim_entry, @function
shim_entry:
    .cfi_startproc
    .cfi_def_cfa rsp, 0
    .cfi_register rip, rcx
    cmp $CALL_TABLE_SIZE, %rax
    jae 1f
    lea call_kinds(%rip), %r11
    cmpb $0, (%r11, %rax)
    jne 2f
1:  jmp *%rcx
2:  lea -128(%rsp), %rsp        /* step over the red zone */
    .cfi_def_cfa_offset 128
    add $2, %rcx
    push %rcx
    .cfi_def_cfa rsp, 136
    .cfi_offset rip, -136
    push %rbp
    .cfi_def_cfa_offset 144
    .cfi_offset rbp, -144
    mov %rsp, %rbp
    .cfi_def_cfa_register rbp
    and $-16, %rsp
    /* The kernel keeps every register but rax, rcx and r11: so do we. Pushed so that they lie as
     * the array of arguments that the dispatcher reads. */
    push %r9
    push %r8
    push %r10
    push %rdx
    push %rsi
    push %rdi
    mov %rax, %rdi
    mov %rsp, %rsi
    call shim_dispatch
    pop %rdi
    pop %rsi
    pop %rdx
    pop %r10
    pop %r8
    pop %r9
    leave
    .cfi_def_cfa rsp, 136
    .cfi_restore rbp
    pop %rcx
    .cfi_def_cfa_offset 128
    .cfi_register rip, rcx
    lea 128(%rsp), %rsp
    .cfi_def_cfa_offset 0
    jmp *%rcx
    .cfi_endproc
    .size shim_entry, . - shim_entry
    .section .note.GNU-stack, "", @progbits
