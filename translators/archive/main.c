#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "translators/archive/archive.h"

#define ENTRIES_DEFAULT 10000000
#define STREAM_DEFAULT (1ull << 30)

static int archive_option(void *state, const char *option)
{
    struct archive_file *file = state;
    const char *value = option_value(option, "max-size");

    if (value)
        return option_size(value, &file->max_size);
    value = option_value(option, "max-stream");
    if (value)
        return option_size(value, &file->max_stream);
    value = option_value(option, "max-entries");
    return value ? option_number(value, &file->max_entries) : EINVAL;
}

static void archive_options(void *state, option_taker *add, void *to)
{
    const struct archive_file *file = state;
    char text[64];

    if (file->max_size > 0) {
        snprintf(text, sizeof(text), "--max-size=%" PRIu64, file->max_size);
        add(to, text);
    }
    snprintf(text, sizeof(text), "--max-stream=%" PRIu64, file->max_stream);
    add(to, text);
    snprintf(text, sizeof(text), "--max-entries=%" PRIu64, file->max_entries);
    add(to, text);
    add(to, file->path);
}

static int archive_configure(int argc, char **argv, void **state)
{
    static struct archive_file file = {
        .max_entries = ENTRIES_DEFAULT,
        .max_stream = STREAM_DEFAULT,
        .source.descriptor = -1,
    };
    int at = 1;

    STAILQ_INIT(&file.pending);
    TAILQ_INIT(&file.wanted);
    for (; at < argc && strncmp(argv[at], "--", 2) == 0; at++) {
        if (argv[at][2] == '\0') {
            at++;
            break;
        }
        if (archive_option(&file, argv[at]) != 0) {
            fprintf(stderr, "archive: %s: not an option, or not a number; see hirsel-archive(8)\n",
                    argv[at]);
            return EINVAL;
        }
    }
    if (argc - at != 1) {
        fprintf(stderr, "archive: one archive, please; type: hirsel settrans NODE archive FILE\n");
        return EINVAL;
    }
    file.path = argv[at];
    *state = &file;
    return 0;
}

static int archive_start(void *state)
{
    struct archive_file *file = state;
    const struct source *source = &file->source;
    char words[256];
    int error = source_open(&file->source, file->path);

    if (error != 0) {
        translator_log("%s: %s", file->path,
                       error == ESPIPE ? "not a regular file" : strerror(error));
        return error;
    }
    file->modified = source->modified;
    snprintf(words, sizeof(words), "archive %" PRIx64 " %" PRIu64 " %" PRId64 " %lld.%09ld\n",
             source->device, source->inode, source->size, (long long)file->modified.tv_sec,
             file->modified.tv_nsec);
    error = translator_source(words);
    if (error == 0) {
        node_set_times(node_root(), S_IFDIR | 0755, file->modified);
        error = stream_start(file);
    }
    if (error != 0)
        translator_log("%s: can't begin: %s", file->path, strerror(error));
    return error;
}

int main(int argc, char **argv)
{
    static const struct translator archive = {
        .name = "archive",
        .arguments = "[--max-size=SIZE] [--max-stream=SIZE] [--max-entries=NUMBER] [--] FILE",
        .summary = "A directory that shows what is in an archive, read-only.",
        .directory = true,
        .configure = archive_configure,
        .start = archive_start,
        .narrow = true,
        .fill = content_fill,
        .fill_unwanted = content_unwanted,
        .options_get = archive_options,
        .options_set = archive_option,
    };

    return translator_run(argc, argv, &archive);
}
