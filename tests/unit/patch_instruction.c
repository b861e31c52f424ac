/* The length decoder against objdump: every instruction of large libraries. */
#include "shim/patch/elf_image.h"
#include "shim/patch/instruction.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const libraries[] = {
    "/lib/x86_64-linux-gnu/libc.so.6",      "/lib64/ld-linux-x86-64.so.2",
    "/lib/x86_64-linux-gnu/libm.so.6",      "/lib/x86_64-linux-gnu/libcrypto.so.3",
    "/lib/x86_64-linux-gnu/libstdc++.so.6", "/lib/x86_64-linux-gnu/libgcc_s.so.1",
};

struct line {
    uint64_t address;
    char text[64];
};

/* "  1f2e0:\tpush   %rbp" */
static int line_read(const char *text, struct line *line)
{
    char *end;
    line->address = strtoull(text, &end, 16);
    if (end == text || end[0] != ':' || end[1] != '\t')
        return 0;
    snprintf(line->text, sizeof line->text, "%s", end + 2);
    size_t length = strcspn(line->text, "\n");
    while (length > 0 && line->text[length - 1] == ' ')
        length--;
    line->text[length] = 0;
    return 1;
}

/* Data between functions is listed as code too. There objdump prints prefixes with nothing behind
 * them as an instruction, takes fwait for a prefix, and heeds the operand-size prefix of jumps as
 * AMD's processors do. */
static int objdump_differs(const struct line *line, const uint8_t *bytes)
{
    const char *last = strrchr(line->text, ' ');
    return strstr(line->text, "(bad)") || line->text[0] == '.' || bytes[0] == 0x9b ||
           strncmp(line->text, "rex", 3) == 0 || (last && strncmp(last + 1, "rex", 3) == 0) ||
           strstr(line->text, "jmpw") || strstr(line->text, "callw") || strstr(line->text, "retw");
}

START_TEST(test_lengths)
{
    const char *path = libraries[_i];
    struct elf_image image;
    struct line previous = {0, ""}, line;
    char text[512], command[256];
    unsigned long seen = 0, wrong = 0, syscalls = 0;
    if (access(path, R_OK) < 0 || access("/usr/bin/objdump", X_OK) < 0)
        return;
    ck_assert_msg(elf_image_load(&image, path) == 0, "%s: %s", path, image.error);
    snprintf(command, sizeof command, "objdump -d -w --no-show-raw-insn %s", path);
    FILE *listing = popen(command, "r");
    ck_assert_ptr_nonnull(listing);
    while (fgets(text, sizeof text, listing)) {
        if (!line_read(text, &line)) {
            /* A heading or "...": what came before has no known end. */
            previous.text[0] = 0;
            continue;
        }
        const uint8_t *bytes = elf_image_at(&image, previous.address, 1);
        if (previous.text[0] && bytes && !objdump_differs(&previous, bytes)) {
            struct instruction instruction;
            uint64_t expected = line.address - previous.address;
            size_t rest = image.size - (size_t)(bytes - image.bytes);
            size_t length = instruction_decode(bytes, rest, previous.address, &instruction);
            seen++;
            int is_syscall = strncmp(previous.text, "syscall", 7) == 0;
            syscalls += (unsigned)is_syscall;
            if (length != expected || is_syscall != !!(instruction.flags & INSTRUCTION_SYSCALL)) {
                wrong++;
                if (wrong <= 10)
                    fprintf(stderr, "%s: %lx: %zu, objdump %lu: %s\n", path, previous.address,
                            length, expected, previous.text);
            }
        }
        previous = line;
    }
    ck_assert_int_eq(pclose(listing), 0);
    elf_image_free(&image);
    ck_assert_uint_gt(seen, 1000);
    ck_assert_msg(wrong == 0, "%s: %lu of %lu instructions (%lu syscall) decoded otherwise", path,
                  wrong, seen, syscalls);
}
END_TEST

START_TEST(test_short_input)
{
    static const uint8_t call[] = {0xe8, 1, 2, 3, 4};
    struct instruction instruction;
    for (size_t size = 0; size < sizeof call; size++)
        ck_assert_uint_eq(instruction_decode(call, size, 0, &instruction), 0);
    ck_assert_uint_eq(instruction_decode(call, sizeof call, 0x1000, &instruction), 5);
    ck_assert_uint_eq(instruction.target, 0x1000 + 5 + 0x04030201);
}
END_TEST

START_TEST(test_random_input)
{
    struct instruction instruction;
    uint8_t bytes[INSTRUCTION_LONGEST];
    srandom(1);
    for (int i = 0; i < 1000000; i++) {
        size_t size = (size_t)random() % (sizeof bytes + 1);
        for (size_t k = 0; k < size; k++)
            bytes[k] = (uint8_t)random();
        ck_assert_uint_le(instruction_decode(bytes, size, 0, &instruction), size);
    }
}
END_TEST

static int flags_of(const uint8_t *bytes, size_t size)
{
    struct instruction instruction;
    ck_assert_uint_eq(instruction_decode(bytes, size, 0, &instruction), size);
    return instruction.flags;
}

#define FLAGS(...) flags_of((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

START_TEST(test_flags)
{
    ck_assert_int_eq(FLAGS(0x0f, 0x05), INSTRUCTION_SYSCALL | INSTRUCTION_TRANSFER);
    ck_assert_int_eq(FLAGS(0xb8, 0x01, 0, 0, 0), 0);                    /* mov $1,%eax */
    ck_assert_int_eq(FLAGS(0x48, 0x83, 0xec, 0x08), INSTRUCTION_STACK); /* sub $8,%rsp */
    ck_assert_int_eq(FLAGS(0x48, 0x8b, 0x7c, 0x24, 0x08), 0);           /* mov 8(%rsp),%rdi */
    ck_assert_int_eq(FLAGS(0x48, 0x89, 0xec), INSTRUCTION_STACK);       /* mov %rbp,%rsp */
    ck_assert_int_eq(FLAGS(0x49, 0x89, 0xcc), 0);                       /* mov %rcx,%r12 */
    ck_assert_int_eq(FLAGS(0x41, 0x54), INSTRUCTION_STACK);             /* push %r12 */
    ck_assert_int_eq(FLAGS(0xc3), INSTRUCTION_TRANSFER);
    ck_assert_int_eq(FLAGS(0xff, 0xe0), INSTRUCTION_TRANSFER); /* jmp *%rax */
    ck_assert_int_eq(FLAGS(0xeb, 0x00), INSTRUCTION_BRANCH | INSTRUCTION_TRANSFER);
    ck_assert_int_eq(FLAGS(0x48, 0x8d, 0x05, 0, 0, 0, 0),
                     INSTRUCTION_RELATIVE | INSTRUCTION_ADDRESS);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("patch_instruction");
    TCase *lengths = tcase_create("lengths");
    tcase_set_timeout(lengths, 120);
    tcase_add_loop_test(lengths, test_lengths, 0, (int)(sizeof libraries / sizeof *libraries));
    tcase_add_test(lengths, test_short_input);
    tcase_add_test(lengths, test_random_input);
    tcase_add_test(lengths, test_flags);
    suite_add_tcase(suite, lengths);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
