/* patch-libc: the sites it finds, the copy it makes, what it refuses, and that its check finds what
 * is wrong with a copy. */
#include "shim/patch/copy.h"
#include "shim/patch/copy_make.h"
#include "shim/patch/copy_verify.h"
#include "shim/patch/site.h"
#include "tests/unit/patch_scratch.h"

#include <dirent.h>
#include <errno.h>

static struct scratch scratch;
static char error[1024], warning[1024];
static const char *shim;

static void setup(void)
{
    static char fixture[SCRATCH_PATH];
    scratch_make(&scratch);
    snprintf(fixture, sizeof fixture, "%s", scratch_fixture("patch_shim.so"));
    shim = fixture;
}

static void teardown(void)
{
    scratch_remove(&scratch);
}

static int make(const char *libc, const char *copy, const char *image)
{
    const struct copy_request request = {.libc = libc, .copy = copy, .shim = image};
    error[0] = 0;
    return copy_make(&request, error, warning, sizeof error);
}

/* Where objdump sees `syscall`, in order. */
static size_t objdump_syscalls(const char *path, uint64_t *addresses, size_t most)
{
    char command[256], line[512];
    size_t count = 0;
    snprintf(command, sizeof command, "objdump -d -w --no-show-raw-insn %s", path);
    FILE *listing = popen(command, "r");
    ck_assert_ptr_nonnull(listing);
    while (fgets(line, sizeof line, listing)) {
        char *end;
        uint64_t address = strtoull(line, &end, 16);
        if (end[0] == ':' && end[1] == '\t' && strncmp(end + 2, "syscall", 7) == 0) {
            ck_assert_uint_lt(count, most);
            addresses[count++] = address;
        }
    }
    ck_assert_int_eq(pclose(listing), 0);
    return count;
}

START_TEST(test_sites_as_objdump)
{
    static const char *const files[] = {SCRATCH_LIBC, SCRATCH_LD};
    static uint64_t expected[4096];
    struct elf_image image;
    struct unwind_table unwind;
    struct code_map map;
    if (access("/usr/bin/objdump", X_OK) < 0)
        return;
    size_t count = objdump_syscalls(files[_i], expected, sizeof expected / sizeof *expected);
    ck_assert_msg(elf_image_load(&image, files[_i]) == 0 && unwind_load(&unwind, &image) == 0 &&
                      code_load(&map, &image, &unwind) == 0,
                  "%s", image.error);
    ck_assert_uint_eq(map.call_count, count);
    for (size_t i = 0; i < count; i++)
        ck_assert_uint_eq(map.calls[i], expected[i]);
    code_free(&map);
    unwind_free(&unwind);
    elf_image_free(&image);
}
END_TEST

static struct copy_header header_of(const char *copy)
{
    struct elf_image image;
    struct copy_header header = {0};
    ck_assert_int_eq(elf_image_load(&image, copy), 0);
    for (unsigned i = 0; i < image.header->e_phnum; i++) {
        const Elf64_Phdr *segment = &image.segments[i];
        if (segment->p_type == PT_LOAD && segment->p_flags == (PF_R | PF_X) &&
            segment->p_vaddr != image.text->p_vaddr)
            memcpy(&header, image.bytes + segment->p_offset + (segment->p_paddr - segment->p_vaddr),
                   sizeof header);
    }
    elf_image_free(&image);
    ck_assert_uint_eq(header.magic, COPY_MAGIC);
    return header;
}

START_TEST(test_header)
{
    struct stat status;
    struct elf_image image;
    uint8_t id[COPY_BUILD_ID];
    const char *copy = scratch_name(&scratch, "libc.so.6");
    ck_assert_msg(make(SCRATCH_LIBC, copy, shim) == 0, "%s", error);
    ck_assert_str_eq(warning, "");
    struct copy_header header = header_of(copy);
    ck_assert_int_eq(stat(SCRATCH_LIBC, &status), 0);
    ck_assert_uint_eq(header.layout, COPY_LAYOUT);
    ck_assert_uint_eq(header.stamp.device, status.st_dev);
    ck_assert_uint_eq(header.stamp.inode, status.st_ino);
    ck_assert_int_eq(header.stamp.mtime_seconds, status.st_mtim.tv_sec);
    ck_assert_int_eq(header.stamp.mtime_nanoseconds, status.st_mtim.tv_nsec);
    ck_assert_int_eq((off_t)header.stamp.size, status.st_size);
    ck_assert_uint_eq(header.sites, header.patched + header.left);
    ck_assert_uint_eq(header.left, 5); /* clone (twice), clone3, vfork, rt_sigreturn */
    ck_assert_uint_ge(header.ld_count, 4);
    ck_assert_int_eq(elf_image_load(&image, SCRATCH_LIBC), 0);
    ck_assert(elf_image_build_id(&image, id, sizeof id));
    ck_assert_mem_eq(id, header.build_id, sizeof id);
    elf_image_free(&image);
    ck_assert_int_eq(elf_image_load(&image, SCRATCH_LD), 0);
    ck_assert(elf_image_build_id(&image, id, sizeof id));
    ck_assert_mem_eq(id, header.ld_build_id, sizeof id);
    elf_image_free(&image);
    ck_assert_msg(copy_verify(copy, SCRATCH_LIBC, error, sizeof error) == 0, "%s", error);
    ck_assert_msg(copy_verify(copy, NULL, error, sizeof error) == 0, "%s", error);
}
END_TEST

/* Where in the file an address is. */
static uint64_t offset_of(const char *copy, uint64_t address)
{
    struct elf_image image;
    ck_assert_int_eq(elf_image_load(&image, copy), 0);
    const uint8_t *place = elf_image_at(&image, address, 1);
    ck_assert_ptr_nonnull(place);
    uint64_t offset = (uint64_t)(place - image.bytes);
    elf_image_free(&image);
    return offset;
}

static unsigned files_in(const char *path)
{
    unsigned count = 0;
    struct dirent *entry;
    DIR *directory = opendir(path);
    while ((entry = readdir(directory)) != NULL)
        count += entry->d_name[0] != '.';
    closedir(directory);
    return count;
}

START_TEST(test_replaced_in_one_step)
{
    struct stat before, after;
    const char *copy = scratch_name(&scratch, "libc.so.6");
    ck_assert_msg(make(SCRATCH_LIBC, copy, NULL) == 0, "%s", error);
    int old = open(copy, O_RDONLY);
    ck_assert_int_eq(fstat(old, &before), 0);
    ck_assert_msg(make(SCRATCH_LIBC, copy, shim) == 0, "%s", error);
    ck_assert_int_eq(stat(copy, &after), 0);
    ck_assert_uint_ne(before.st_ino, after.st_ino);
    ck_assert_int_eq(fstat(old, &after), 0);
    ck_assert_int_eq(before.st_size, after.st_size);
    close(old);
    ck_assert_int_eq(make(SCRATCH_LD, copy, NULL), -1);
    ck_assert_msg(copy_verify(copy, SCRATCH_LIBC, error, sizeof error) == 0, "%s", error);
    ck_assert_uint_eq(files_in(scratch.path), 1);
    ck_assert_int_eq(make(SCRATCH_LIBC, "/nowhere/at/all", NULL), -1);
    ck_assert_ptr_nonnull(strstr(error, "/nowhere/at/all"));
}
END_TEST

static void refused(const char *libc, const char *image, const char *why)
{
    const char *copy = scratch_name(&scratch, "copy");
    ck_assert_msg(make(libc, copy, image) == -1, "%s was taken", libc);
    ck_assert_msg(strstr(error, why) != NULL, "\"%s\", not \"%s\"", error, why);
    ck_assert_ptr_null(strchr(error, '\n'));
    ck_assert_int_eq(access(copy, F_OK), -1);
}

START_TEST(test_refused_files)
{
    static const char script[] =
        "#!/bin/sh\n# A script that is long enough to hold an ELF header.\nexit 0\n";
    const char *file = scratch_name(&scratch, "file");
    refused("/nowhere", NULL, "No such file");
    refused("/tmp", NULL, "not an ELF file");
    refused("/dev/null", NULL, "not an ELF file");
    scratch_write(file, "", 0);
    refused(file, NULL, "not an ELF file");
    scratch_write(file, script, sizeof script);
    refused(file, NULL, "not an ELF file");
    refused("/lib/x86_64-linux-gnu/libm.so.6", NULL, "not a libc.so.6");
    refused(SCRATCH_LD, NULL, "not a libc.so.6");
    refused("/proc/self/exe", NULL, "not a libc.so.6");
    refused(SCRATCH_LIBC, "/nowhere/shim.so", "the shim /nowhere/shim.so: can't open it");
    refused(SCRATCH_LIBC, file, "not an ELF file");
    refused(SCRATCH_LIBC, "/lib/x86_64-linux-gnu/libm.so.6", "not linked as a shim");
    refused(SCRATCH_LIBC, SCRATCH_LIBC, "not linked as a shim");
    const char *copy = scratch_name(&scratch, "first");
    ck_assert_msg(make(SCRATCH_LIBC, copy, NULL) == 0, "%s", error);
    refused(copy, NULL, "a copy already");
}
END_TEST

struct variant {
    uint8_t *bytes;
    size_t size;
    Elf64_Ehdr *header;
    Elf64_Phdr *segments;
};

static struct variant variant_make(void)
{
    struct variant variant;
    variant.bytes = scratch_read(SCRATCH_LIBC, &variant.size);
    variant.header = (Elf64_Ehdr *)variant.bytes;
    variant.segments = (Elf64_Phdr *)(variant.bytes + variant.header->e_phoff);
    return variant;
}

static void variant_refused(struct variant *variant, const char *why)
{
    const char *path = scratch_name(&scratch, "variant");
    scratch_write(path, variant->bytes, variant->size);
    refused(path, NULL, why);
    free(variant->bytes);
}

START_TEST(test_refused_variants)
{
    struct variant variant = variant_make();
    for (unsigned i = 0; i < variant.header->e_phnum; i++)
        if (variant.segments[i].p_type == PT_NOTE)
            variant.segments[i].p_type = PT_NULL;
    variant_refused(&variant, "spare program header");

    variant = variant_make();
    for (unsigned i = 0; i < variant.header->e_phnum; i++) {
        if (variant.segments[i].p_type != PT_DYNAMIC)
            continue;
        Elf64_Dyn *entry = (Elf64_Dyn *)(variant.bytes + variant.segments[i].p_offset);
        size_t count = variant.segments[i].p_filesz / sizeof *entry;
        for (size_t k = 0; k + 1 < count; k++)
            if (entry[k].d_tag == DT_NULL)
                entry[k].d_tag = DT_DEBUG;
    }
    variant_refused(&variant, "spare entry in .dynamic");

    variant = variant_make();
    variant.header->e_shnum = 0;
    variant_refused(&variant, "no section headers");

    variant = variant_make();
    variant.header->e_machine = EM_AARCH64;
    variant_refused(&variant, "x86-64");

    variant = variant_make();
    char *version = memmem(variant.bytes, variant.size, " release version 2.36", 21);
    if (version) {
        memcpy(version, " release version 2.41", 21);
        variant_refused(&variant, "glibc 2.41");
    } else {
        free(variant.bytes);
    }

    variant = variant_make();
    for (unsigned i = 0; i < variant.header->e_phnum; i++)
        if (variant.segments[i].p_type == PT_GNU_EH_FRAME)
            variant.bytes[variant.segments[i].p_offset] = 9;
    variant_refused(&variant, "search table");
}
END_TEST

/* Older ones have a DT_INIT of their own: the shim calls it. */
START_TEST(test_libc_start)
{
    struct variant variant = variant_make();
    Elf64_Dyn *entry = NULL;
    for (unsigned i = 0; i < variant.header->e_phnum; i++)
        if (variant.segments[i].p_type == PT_DYNAMIC)
            entry = (Elf64_Dyn *)(variant.bytes + variant.segments[i].p_offset);
    ck_assert_ptr_nonnull(entry);
    while (entry->d_tag != DT_NULL)
        entry++;
    *entry = (Elf64_Dyn){.d_tag = DT_INIT, .d_un.d_ptr = 0x12345};
    const char *path = scratch_name(&scratch, "variant");
    const char *copy = scratch_name(&scratch, "copy");
    scratch_write(path, variant.bytes, variant.size);
    for (int with_shim = 0; with_shim <= 1; with_shim++) {
        ck_assert_msg(make(path, copy, with_shim ? shim : NULL) == 0, "%s", error);
        ck_assert_uint_eq(header_of(copy).libc_start, with_shim ? 0x12345 : 0);
        ck_assert_msg(copy_verify(copy, path, error, sizeof error) == 0, "%s", error);
    }
    free(variant.bytes);
}
END_TEST

START_TEST(test_cut_off)
{
    struct variant variant = variant_make();
    const char *path = scratch_name(&scratch, "variant");
    for (size_t size = 0; size < variant.size; size += size < 4096 ? 37 : 50021) {
        scratch_write(path, variant.bytes, size);
        ck_assert_int_eq(make(path, scratch_name(&scratch, "copy"), NULL), -1);
        ck_assert_str_ne(error, "");
    }
    free(variant.bytes);
}
END_TEST

/* Whatever is in the file: refused, or a copy that passes its check; never a crash. */
START_TEST(test_damaged)
{
    struct variant variant = variant_make();
    const char *path = scratch_name(&scratch, "variant");
    const char *copy = scratch_name(&scratch, "copy");
    uint64_t frames = 0, frames_size = 0;
    Elf64_Shdr *sections = (Elf64_Shdr *)(variant.bytes + variant.header->e_shoff);
    const char *names = (char *)variant.bytes + sections[variant.header->e_shstrndx].sh_offset;
    for (unsigned i = 0; i < variant.header->e_shnum; i++)
        if (strcmp(names + sections[i].sh_name, ".eh_frame") == 0) {
            frames = sections[i].sh_offset;
            frames_size = sections[i].sh_size;
        }
    const struct {
        uint64_t begin, size;
    } areas[] = {
        {0, 1024}, {variant.header->e_shoff, 4096}, {frames, frames_size}, {0, variant.size}};
    srandom((unsigned)_i);
    for (unsigned round = 0; round < 40; round++) {
        uint8_t saved[8];
        size_t at[8];
        unsigned count = 1 + (unsigned)random() % 8;
        for (unsigned k = 0; k < count; k++) {
            at[k] = areas[round % 4].begin + (size_t)random() % areas[round % 4].size;
            saved[k] = variant.bytes[at[k]];
            variant.bytes[at[k]] = (uint8_t)random();
        }
        scratch_write(path, variant.bytes, variant.size);
        if (make(path, copy, NULL) == 0)
            ck_assert_msg(copy_verify(copy, path, error, sizeof error) == 0, "%s", error);
        for (unsigned k = count; k-- > 0;)
            variant.bytes[at[k]] = saved[k];
    }
    free(variant.bytes);
}
END_TEST

static void spoilt(const char *path, uint8_t *bytes, size_t size, uint64_t at, uint8_t value)
{
    uint8_t saved = bytes[at];
    bytes[at] = value;
    scratch_write(path, bytes, size);
    ck_assert_msg(copy_verify(path, SCRATCH_LIBC, error, sizeof error) == -1,
                  "byte 0x%lx: %u in place of %u was not seen", at, value, saved);
    bytes[at] = saved;
}

START_TEST(test_check_sees)
{
    size_t size;
    const char *copy = scratch_name(&scratch, "libc.so.6");
    const char *bad = scratch_name(&scratch, "bad");
    ck_assert_msg(make(SCRATCH_LIBC, copy, shim) == 0, "%s", error);
    struct copy_header header = header_of(copy);
    uint8_t *bytes = scratch_read(copy, &size), *old = scratch_read(SCRATCH_LIBC, &size);
    free(bytes);
    bytes = scratch_read(copy, &size);
    const uint64_t offset = offset_of(copy, header.begin);
    srandom(7);
    /* The trampolines' code; between them is fill that is no one's business. */
    for (unsigned i = 0; i < 60; i++) {
        uint64_t at =
            header.code - header.begin + (uint64_t)random() % (header.code_end - header.code);
        if (bytes[offset + at] != 0xcc)
            spoilt(bad, bytes, size, offset + at, bytes[offset + at] ^ 0x15);
    }
    /* The windows, and code beside them. */
    for (unsigned i = 0, seen = 0; seen < 60 && i < 1000000; i++) {
        uint64_t at = 0x26000 + (uint64_t)random() % 0x150000;
        if (bytes[at] == old[at])
            continue;
        spoilt(bad, bytes, size, at, old[at]);
        seen++;
    }
    for (unsigned i = 0; i < 20; i++) {
        uint64_t at = 0x26000 + (uint64_t)random() % 0x150000;
        spoilt(bad, bytes, size, at, (uint8_t)(bytes[at] + 1));
    }
    /* The header. */
    static const size_t fields[] = {
        offsetof(struct copy_header, magic),    offsetof(struct copy_header, layout),
        offsetof(struct copy_header, begin),    offsetof(struct copy_header, end),
        offsetof(struct copy_header, slot),     offsetof(struct copy_header, ld_slot),
        offsetof(struct copy_header, code),     offsetof(struct copy_header, code_end),
        offsetof(struct copy_header, patched),  offsetof(struct copy_header, moved),
        offsetof(struct copy_header, shim),     offsetof(struct copy_header, shim_code),
        offsetof(struct copy_header, shim_sum), offsetof(struct copy_header, shim_start),
    };
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        spoilt(bad, bytes, size, offset + fields[i], (uint8_t)(bytes[offset + fields[i]] + 64));
    /* libc's data and what is zero in it, the shim's data and code. */
    const uint64_t begins[] = {header.slot - 4096, header.slot, header.shim, header.shim_code};
    const uint64_t ends[] = {header.slot, header.shim, header.shim_code, header.begin};
    for (unsigned i = 0; i < 80; i++) {
        uint64_t address = begins[i % 4] + (uint64_t)random() % (ends[i % 4] - begins[i % 4]);
        uint64_t at = offset_of(copy, address);
        spoilt(bad, bytes, size, at, (uint8_t)(bytes[at] + 1));
    }
    free(bytes);
    free(old);
    ck_assert_int_eq(copy_verify(SCRATCH_LIBC, NULL, error, sizeof error), -1);
    ck_assert_ptr_nonnull(strstr(error, "not a copy"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("patch_copy");
    TCase *copy = tcase_create("copy");
    tcase_set_timeout(copy, 60);
    tcase_add_checked_fixture(copy, setup, teardown);
    tcase_add_loop_test(copy, test_sites_as_objdump, 0, 2);
    tcase_add_test(copy, test_header);
    tcase_add_test(copy, test_replaced_in_one_step);
    tcase_add_test(copy, test_refused_files);
    tcase_add_test(copy, test_refused_variants);
    tcase_add_test(copy, test_libc_start);
    tcase_add_test(copy, test_cut_off);
    tcase_add_loop_test(copy, test_damaged, 0, 3);
    tcase_add_test(copy, test_check_sees);
    suite_add_tcase(suite, copy);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
