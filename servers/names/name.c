#include "servers/names/names.h"

#include <errno.h>
#include <string.h>

int name_absolute(const void *bytes, size_t length, char path[NAME_PATH_SIZE])
{
    if (length >= NAME_PATH_SIZE)
        return ENAMETOOLONG;
    if (length == 0 || *(const char *)bytes != '/' || memchr(bytes, '\0', length))
        return EINVAL;
    memcpy(path, bytes, length);
    path[length] = '\0';
    return 0;
}

static bool component_is_dots(const char *name, size_t length)
{
    return (length == 1 && name[0] == '.') || (length == 2 && name[0] == '.' && name[1] == '.');
}

int name_below(const void *bytes, size_t length)
{
    const char *text = bytes;
    size_t start = 0;

    if (length >= NAME_PATH_SIZE)
        return ENAMETOOLONG;
    if (length == 0)
        return 0;
    if (memchr(bytes, '\0', length))
        return EINVAL;
    for (size_t i = 0; i <= length; i++) {
        if (i < length && text[i] != '/')
            continue;
        if (i == start || component_is_dots(text + start, i - start))
            return EINVAL;
        if (i - start > NAME_COMPONENT_MAX)
            return ENAMETOOLONG;
        start = i + 1;
    }
    return 0;
}

int name_join(const char *directory, const char *name, size_t name_length,
              char path[NAME_PATH_SIZE])
{
    size_t length = strlen(directory);

    /* The root brings its own slash. */
    if (length == 1)
        length = 0;
    if (name_length > NAME_COMPONENT_MAX || length + 1 + name_length >= NAME_PATH_SIZE)
        return ENAMETOOLONG;
    memmove(path, directory, length);
    path[length] = '/';
    memcpy(path + length + 1, name, name_length);
    path[length + 1 + name_length] = '\0';
    return 0;
}

int name_normalise(char path[NAME_PATH_SIZE])
{
    const char *from = path;
    char *to = path;

    if (path[0] != '/')
        return EINVAL;
    while (*from) {
        while (*from == '/')
            from++;
        size_t length = strcspn(from, "/");
        if (length == 0)
            break;
        if (length == 2 && from[0] == '.' && from[1] == '.')
            return EINVAL;
        if (length > NAME_COMPONENT_MAX)
            return ENAMETOOLONG;
        if (!component_is_dots(from, length)) {
            *to++ = '/';
            memmove(to, from, length);
            to += length;
        }
        from += length;
    }
    if (to == path)
        *to++ = '/';
    *to = '\0';
    return 0;
}

bool name_is_below(const char *path, const char *prefix)
{
    size_t length = strlen(prefix);

    if (length == 1)
        return path[0] == '/';
    return strncmp(path, prefix, length) == 0 && (path[length] == '/' || path[length] == '\0');
}

const char *name_last(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}
