#include "shim/patch/copy_make.h"

#include "shim/patch/copy.h"
#include "shim/patch/copy_verify.h"
#include "shim/patch/frames.h"
#include "shim/patch/ld_table.h"
#include "shim/patch/libc_plan.h"
#include "shim/patch/output.h"
#include "shim/patch/symbols.h"
#include "shim/patch/trampoline.h"

#include <limits.h>
#include <stdio.h>
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
    struct segment segment; /* loaded */
    struct segment tail;    /* not loaded, behind it */
    struct symbols_layout layout;
    uint64_t shim_name; /* its address in the segment */
};

static int shim_check(struct copy *copy)
{
    const char *shim = copy->request->shim;
    if (!shim)
        return 0;
    /* ld.so replaces $ORIGIN and its like. */
    if (shim[0] != '/' || strchr(shim, '$') || strlen(shim) >= PATH_MAX)
        return elf_image_refuse(&copy->image,
                                "the shim must be named by an absolute path without '$'");
    return 0;
}

static void header_begin(struct copy *copy)
{
    const struct stat *status = &copy->image.status;
    copy->header = (struct copy_header){
        .magic = COPY_MAGIC,
        .layout = COPY_LAYOUT,
        .size = sizeof copy->header,
        .begin = copy->plan.segment,
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
    copy->segment.address = copy->plan.segment;
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

static void shim_name_add(struct copy *copy)
{
    const char *shim = copy->request->shim;
    if (!shim)
        return;
    copy->shim_name = segment_here(&copy->segment);
    segment_add(&copy->segment, shim, strlen(shim) + 1);
}

/* From here on the image holds the copy's bytes and not the original's. */
static int image_change(struct copy *copy, const struct frames *frames)
{
    struct elf_image *image = &copy->image;
    Elf64_Phdr *search = elf_image_segment(image, PT_GNU_EH_FRAME);
    uint64_t size = copy->segment.size, slot_end = copy->plan.slot + LIBC_PLAN_SLOTS;
    for (size_t i = 0; i < copy->header.patched; i++)
        if (trampoline_link(image, &copy->trampolines[i]) < 0)
            return -1;
    if (copy->plan.slot_behind)
        copy->plan.data->p_memsz = slot_end - copy->plan.data->p_vaddr;
    search->p_vaddr = search->p_paddr = frames->header;
    search->p_offset = copy->plan.offset + (frames->header - copy->plan.segment);
    search->p_filesz = search->p_memsz = frames->header_size;
    if (copy->shim_name) {
        copy->plan.needed->d_tag = DT_NEEDED;
        copy->plan.needed->d_un.d_val = copy->shim_name - copy->plan.strings;
    }
    *copy->plan.note = (Elf64_Phdr){
        .p_type = PT_LOAD,
        .p_flags = PF_R | PF_X,
        .p_offset = copy->plan.offset,
        .p_vaddr = copy->plan.segment,
        .p_paddr = copy->plan.segment,
        .p_filesz = size,
        .p_memsz = size,
        .p_align = COPY_PAGE,
    };
    return 0;
}

static int copy_build(struct copy *copy, char *warning, size_t line_size)
{
    struct frames frames;
    struct elf_image *image = &copy->image;
    if (elf_image_load(image, copy->request->libc) < 0 || shim_check(copy) < 0 ||
        libc_plan_make(&copy->plan, image) < 0 || unwind_load(&copy->unwind, image) < 0 ||
        code_load(&copy->map, image, &copy->unwind) < 0)
        return -1;
    header_begin(copy);
    if (trampolines_add(copy) < 0)
        return -1;
    ld_add(copy, warning, line_size);
    shim_name_add(copy);
    if (frames_write(&copy->segment, &copy->unwind, copy->trampolines, copy->header.patched,
                     &frames) < 0)
        return -1;
    segment_align(&copy->segment, 16, 0);
    copy->header.end = segment_here(&copy->segment);
    copy->layout = (struct symbols_layout){
        .address = copy->plan.segment,
        .offset = copy->plan.offset,
        .code_end = copy->header.code_end,
        .header = frames.header,
        .header_size = frames.header_size,
    };
    symbols_write(&copy->tail, copy->plan.offset + copy->segment.size, image, &copy->layout,
                  copy->trampolines, copy->header.patched);
    if (copy->segment.failed || copy->tail.failed)
        return elf_image_refuse(image, "no memory, or it is too large");
    memcpy(copy->segment.bytes, &copy->header, sizeof copy->header);
    return image_change(copy, &frames);
}

static int copy_write(struct copy *copy)
{
    struct output output;
    uint8_t zeros[COPY_PAGE] = {0};
    if (output_begin(&output, copy->request->copy) < 0) {
        elf_image_refuse(&copy->image, "can't make %s: %s", copy->request->copy, output_why());
        return -1;
    }
    if (output_add(&output, copy->image.bytes, copy->image.size) < 0 ||
        output_add(&output, zeros, copy->plan.offset - copy->image.size) < 0 ||
        output_add(&output, copy->segment.bytes, copy->segment.size) < 0 ||
        output_add(&output, copy->tail.bytes, copy->tail.size) < 0 || output_close(&output) < 0) {
        elf_image_refuse(&copy->image, "can't write %s: %s", output.temporary, output_why());
        goto fail;
    }
    if (copy_verify(output.temporary, copy->request->libc, copy->image.error,
                    sizeof copy->image.error) < 0)
        goto fail;
    if (output_commit(&output) < 0) {
        elf_image_refuse(&copy->image, "can't make %s: %s", copy->request->copy, output_why());
        goto fail;
    }
    return 0;
fail:
    output_abort(&output);
    return -1;
}

int copy_make(const struct copy_request *request, char *error, char *warning, size_t line_size)
{
    struct copy copy = {.request = request};
    int result = -1;
    if (copy_build(&copy, warning, line_size) == 0 && copy_write(&copy) == 0)
        result = 0;
    else
        snprintf(error, line_size, "%s: %s", request->libc, copy.image.error);
    free(copy.trampolines);
    segment_free(&copy.segment);
    segment_free(&copy.tail);
    code_free(&copy.map);
    unwind_free(&copy.unwind);
    elf_image_free(&copy.image);
    return result;
}
