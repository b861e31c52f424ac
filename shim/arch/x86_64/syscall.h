/* Raw system calls of x86-64: no errno, no cancellation point, no libc.
 * The result is the kernel's own: a value, or -errno between -4095 and -1. */
#ifndef HIRSEL_SYSCALL_H
#define HIRSEL_SYSCALL_H

static inline __attribute__((always_inline)) long system_call(long number, long a, long b, long c,
                                                              long d, long e, long f)
{
    long result;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "0"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}

/* Whether a raw result is an error. */
static inline __attribute__((always_inline)) int system_failed(long result)
{
    return (unsigned long)result > -4096ul;
}

#endif
