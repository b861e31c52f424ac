#include "shim/patch/copy_make.h"

#include "shim/patch/copy.h"
#include "shim/patch/copy_verify.h"
#include "shim/patch/frames.h"
#include "shim/patch/ld_table.h"
#include "shim/patch/libc_plan.h"
#include "shim/patch/output.h"
#include "shim/patch/shim_image.h"
#include "shim/patch/symbols.h"
#include "shim/patch/trampoline.h"

#include <stdio.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LD_DEFAULT "/lib64/ld-linux-x86-64.so.2"

struct copy {
    const struct copy_request *request;
    struct elf_image image;
    struct unwind_table unwind;
    struct code_map map;
    struct libc_plan plan;
    struct copy_header header;
    struct trampoline *trampolines;
    struct shim_image shim; /* its image has no bytes if there is none */
    uint64_t shim_base;
    struct segment data;    /* libc's writable segment, and the shim's behind it */
    struct segment segment; /* the new one, in the file and in memory at once behind that */
    struct segment tail;    /* not loaded, behind it */
    struct symbols_layout layout;
    int failure; /* an errno: see copy_make */
};

static bool has_shim(const struct copy *copy)
{
    return copy->shim.image.bytes != NULL;
}

static const struct elf_image *shim_of(const struct copy *copy)
{
    return has_shim(copy) ? &copy->shim.image : NULL;
}

static uint64_t here_in_file(const struct copy *copy, const struct segment *segment)
{
    return copy->plan.data_offset + (segment->address - copy->plan.data_begin);
}

static void segment_pad(struct segment *segment, uint64_t address)
{
    segment_add(segment, NULL, address - segment_here(segment));
}

static int shim_load(struct copy *copy)
{
    if (!copy->request->shim || shim_image_load(&copy->shim, copy->request->shim) == 0)
        return 0;
    elf_image_free(&copy->shim.image);
    return elf_image_refuse(&copy->image, "the shim %s: %s", copy->request->shim,
                            copy->shim.image.error);
}

/* libc's writable segment with all that is zero at its start, the shim's data behind it, and its
 * code in the new segment: all of it is then one piece of the file. Memory that is in no file, or a
 * hole between segments, would cost each start a system call more. */
static void data_build(struct copy *copy)
{
    const struct libc_plan *plan = &copy->plan;
    const struct shim_image *shim = &copy->shim;
    const uint8_t *bytes = copy->image.bytes + plan->data->p_offset;
    copy->data.address = plan->data_begin;
    copy->segment.address = plan->data_end;
    segment_pad(&copy->data, plan->data->p_vaddr);
    segment_add(&copy->data, bytes, plan->data->p_filesz);
    segment_pad(&copy->data, plan->data_end);
    if (!has_shim(copy))
        return;
    copy->shim_base = plan->data_end;
    copy->segment.address += shim->code->p_vaddr;
    segment_add(&copy->data, shim->image.bytes + shim->data->p_offset, shim->data->p_filesz);
    segment_pad(&copy->data, copy->segment.address);
    segment_add(&copy->segment, shim->image.bytes + shim->code->p_offset, shim->code->p_filesz);
    segment_align(&copy->segment, COPY_ALIGN, 0);
}

static void header_begin(struct copy *copy)
{
    const struct stat *status = &copy->image.status;
    copy->header = (struct copy_header){
        .magic = COPY_MAGIC,
        .layout = COPY_LAYOUT,
        .size = sizeof copy->header,
        .begin = segment_here(&copy->segment),
        .slot = copy->plan.slot,
        .ld_slot = copy->plan.slot + 8,
        .sites = (uint32_t)copy->map.call_count,
        .stamp = {.device = status->st_dev,
                  .inode = status->st_ino,
                  .mtime_seconds = status->st_mtim.tv_sec,
                  .mtime_nanoseconds = status->st_mtim.tv_nsec,
                  .size = (uint64_t)status->st_size},
    };
    elf_image_build_id(&copy->image, copy->header.build_id, sizeof copy->header.build_id);
    if (has_shim(copy)) {
        copy->header.shim = copy->shim_base;
        copy->header.shim_code = copy->segment.address;
        copy->header.libc_start = copy->plan.init;
        copy->header.shim_start = copy->shim_base + copy->shim.image.header->e_entry;
        copy->header.shim_sum = copy_sum(
            copy_sum(COPY_SUM_BEGIN, copy->data.bytes + (copy->shim_base - copy->data.address),
                     copy->segment.address - copy->shim_base),
            copy->segment.bytes, copy->segment.size);
    }
    segment_add(&copy->segment, &copy->header, sizeof copy->header);
}

static void ld_add(struct copy *copy, char *warning, size_t line_size)
{
    char why[256];
    const char *ld = copy->request->ld;
    if (!ld)
        ld = copy->plan.interpreter ? copy->plan.interpreter : LD_DEFAULT;
    warning[0] = 0;
    if (ld_table_write(&copy->segment, &copy->header, ld, why, sizeof why) < 0)
        snprintf(warning, line_size, "%s: %s; dlopen will not see the session's names", ld, why);
}

static int trampolines_add(struct copy *copy)
{
    copy->trampolines = calloc(copy->map.call_count + 1, sizeof *copy->trampolines);
    if (!copy->trampolines)
        return elf_image_refuse(&copy->image, "no memory");
    segment_align(&copy->segment, 64, 0);
    copy->header.code = segment_here(&copy->segment);
    for (size_t i = 0; i < copy->map.call_count; i++) {
        struct site site;
        site_describe(&copy->map, copy->map.calls[i], &site);
        if (site_is_left_alone(&site)) {
            copy->header.left++;
            continue;
        }
        int chosen = site_choose(&copy->map, &site, SITE_ANY);
        if (chosen == 0)
            return elf_image_refuse(&copy->image, "its system call at 0x%lx can't be patched",
                                    site.call);
        if (chosen < 0)
            return -1;
        trampoline_write(&copy->segment, &copy->map, copy->plan.slot, &site,
                         &copy->trampolines[copy->header.patched++]);
        copy->header.moved += site.moved;
    }
    copy->header.code_end = segment_here(&copy->segment);
    if (copy->header.patched == 0)
        return elf_image_refuse(&copy->image, "there is no system call in it");
    return 0;
}

/* What lies in the writable segment lies elsewhere in the file now. */
static void headers_move(struct copy *copy)
{
    const struct libc_plan *plan = &copy->plan;
    for (unsigned i = 0; i < copy->image.header->e_phnum; i++) {
        Elf64_Phdr *segment = &copy->image.segments[i];
        if (segment->p_type != PT_NULL && segment->p_filesz > 0 &&
            segment->p_vaddr >= plan->data->p_vaddr && segment->p_vaddr < plan->data_end)
            segment->p_offset = plan->data_offset + (segment->p_vaddr - plan->data_begin);
    }
    plan->data->p_filesz = plan->data->p_memsz = copy->segment.address - plan->data->p_vaddr;
}

/* ld.so reads the first 832 bytes of a file: where the program headers end in there it need not
 * read them anew, twice. libc's are one too many, and one can go: the properties, of which patching
 * leaves none true that anybody asks for (that each indirect jump leads to a mark). */
static void properties_remove(struct elf_image *image)
{
    Elf64_Phdr *segment = elf_image_segment(image, PT_GNU_PROPERTY);
    if (!segment)
        return;
    Elf64_Phdr *end = image->segments + image->header->e_phnum;
    memmove(segment, segment + 1, (size_t)((char *)end - (char *)(segment + 1)));
    memset(end - 1, 0, sizeof *end);
    image->header->e_phnum--;
}

static void start_add(struct copy *copy)
{
    const Elf64_Dyn entry = {.d_tag = DT_INIT, .d_un.d_ptr = copy->header.shim_start};
    if (has_shim(copy))
        memcpy(copy->data.bytes + (copy->plan.start - copy->data.address), &entry, sizeof entry);
}

/* From here on the image holds the copy's bytes and not the original's. */
static int image_change(struct copy *copy, const struct frames *frames)
{
    struct elf_image *image = &copy->image;
    Elf64_Phdr *search = elf_image_segment(image, PT_GNU_EH_FRAME);
    const uint64_t address = copy->segment.address, size = copy->segment.size;
    for (size_t i = 0; i < copy->header.patched; i++)
        if (trampoline_link(image, &copy->trampolines[i]) < 0)
            return -1;
    headers_move(copy);
    start_add(copy);
    search->p_vaddr = search->p_paddr = frames->header;
    search->p_offset = here_in_file(copy, &copy->segment) + (frames->header - address);
    search->p_filesz = search->p_memsz = frames->header_size;
    *copy->plan.note = (Elf64_Phdr){
        .p_type = PT_LOAD,
        .p_flags = PF_R | PF_X,
        .p_offset = here_in_file(copy, &copy->segment),
        .p_vaddr = address,
        .p_paddr = copy->header.begin,
        .p_filesz = size,
        .p_memsz = size,
        .p_align = COPY_PAGE,
    };
    properties_remove(image);
    return 0;
}

static int copy_build(struct copy *copy, char *warning, size_t line_size)
{
    struct frames frames;
    struct elf_image *image = &copy->image;
    if (elf_image_load(image, copy->request->libc) < 0 || libc_plan_make(&copy->plan, image) < 0 ||
        shim_load(copy) < 0 || unwind_load(&copy->unwind, image) < 0 ||
        code_load(&copy->map, image, &copy->unwind) < 0)
        return -1;
    data_build(copy);
    if (copy->data.failed || copy->segment.failed)
        return elf_image_refuse(image, "no memory");
    header_begin(copy);
    if (trampolines_add(copy) < 0)
        return -1;
    ld_add(copy, warning, line_size);
    if (frames_write(&copy->segment, &copy->unwind, shim_of(copy), copy->shim_base,
                     copy->trampolines, copy->header.patched, &frames) < 0)
        return -1;
    segment_align(&copy->segment, 16, 0);
    copy->header.end = segment_here(&copy->segment);
    copy->layout = (struct symbols_layout){
        .address = copy->segment.address,
        .offset = here_in_file(copy, &copy->segment),
        .data_begin = copy->plan.data_begin,
        .data_offset = copy->plan.data_offset,
        .code_end = copy->header.code_end,
        .frames = frames,
    };
    symbols_write(&copy->tail, copy->layout.offset + copy->segment.size, image, &copy->segment,
                  &copy->layout, shim_of(copy), copy->shim_base, copy->trampolines,
                  copy->header.patched);
    if (copy->segment.failed || copy->tail.failed)
        return elf_image_refuse(image, "no memory, or it is too large");
    memcpy(copy->segment.bytes + (copy->header.begin - copy->segment.address), &copy->header,
           sizeof copy->header);
    return image_change(copy, &frames);
}

/* In one piece, to be written at once: the kernel then keeps it in large pieces of memory, which
 * every program that maps it is the faster for (60 µs an exec against pages one by one). */
static void file_build(const struct copy *copy, struct segment *file)
{
    segment_add(file, copy->image.bytes, copy->image.size);
    segment_add(file, NULL, copy->plan.data_offset - copy->image.size);
    segment_add(file, copy->data.bytes, copy->data.size);
    segment_add(file, copy->segment.bytes, copy->segment.size);
    segment_add(file, copy->tail.bytes, copy->tail.size);
}

static int copy_write(struct copy *copy)
{
    struct output output;
    struct segment file = {0};
    file_build(copy, &file);
    if (file.failed) {
        segment_free(&file);
        return elf_image_refuse(&copy->image, "no memory");
    }
    if (output_begin(&output, copy->request->copy) < 0) {
        copy->failure = errno;
        elf_image_refuse(&copy->image, "can't make %s: %s", copy->request->copy, output_why());
        segment_free(&file);
        return -1;
    }
    if (output_add(&output, file.bytes, file.size) < 0 || output_close(&output) < 0) {
        copy->failure = errno;
        elf_image_refuse(&copy->image, "can't write %s: %s", output.temporary, output_why());
        goto fail;
    }
    if (copy_verify(output.temporary, copy->request->libc, copy->image.error,
                    sizeof copy->image.error) < 0)
        goto fail;
    if (output_commit(&output) < 0) {
        copy->failure = errno;
        elf_image_refuse(&copy->image, "can't make %s: %s", copy->request->copy, output_why());
        goto fail;
    }
    segment_free(&file);
    return 0;
fail:
    output_abort(&output);
    segment_free(&file);
    return -1;
}

int copy_make(const struct copy_request *request, char *error, char *warning, size_t line_size)
{
    struct copy copy = {.request = request, .failure = ENOEXEC};
    int result = -1;
    if (copy_build(&copy, warning, line_size) == 0 && copy_write(&copy) == 0)
        result = 0;
    else
        snprintf(error, line_size, "%s: %s", request->libc, copy.image.error);
    free(copy.trampolines);
    segment_free(&copy.data);
    segment_free(&copy.segment);
    shim_image_free(&copy.shim);
    segment_free(&copy.tail);
    code_free(&copy.map);
    unwind_free(&copy.unwind);
    elf_image_free(&copy.image);
    errno = copy.failure;
    return result;
}
